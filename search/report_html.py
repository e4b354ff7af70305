"""The report's page: sections of text, pictures and tables as one HTML file that needs no other."""

import re
from dataclasses import dataclass

from search.report_style import Picture
from search.report_tables import FACTS, Table

NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?( ?%| [a-z]{1,2})?|-|\d+:\d\d:\d\d")
TEMPLATE = r"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 54rem; padding: 1.5rem 1.25rem 4rem; color: #1a1a1a; background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .4rem; padding-top: .6rem; border-top: 1px solid #bbb; }
p { margin: .5rem 0; max-width: 44rem; }
.verdict { font-size: 1.1rem; border-left: 4px solid #0072B2; padding-left: .8rem; }
nav { font-size: .88rem; margin: 1rem 0 0; line-height: 1.9; }
nav a { margin-right: 1rem; white-space: nowrap; }
a { color: #005a8d; }
figure { margin: 1rem 0; }
figure svg { width: 100%; height: auto; display: block; }
.scroll { overflow-x: auto; margin: .9rem 0; }
table { border-collapse: collapse; font-size: .84rem; line-height: 1.35; }
th, td { text-align: left; vertical-align: top; padding: .26rem .9rem .26rem 0; border-bottom: 1px solid #ddd; }
th { border-bottom: 1.5px solid #555; font-weight: 600; }
td { overflow-wrap: anywhere; min-width: 2.6rem; }
td:first-child { overflow-wrap: normal; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
th.n { text-align: right; }
pre { background: #f4f4f4; border: 1px solid #ddd; padding: .6rem .8rem; font-size: .82rem; white-space: pre-wrap;
  overflow-wrap: anywhere; margin: .5rem 0; }
pre.two { columns: 2; column-gap: 2rem; }
@page { margin: 16mm 14mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2, p { break-after: avoid; }
  figure, tr, pre:not(.two) { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  a { color: inherit; text-decoration: none; }
}
</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<p>{{ subtitle }}</p>
<p class="verdict">{{ verdict }}</p>
<nav>{% for section in sections %}<a href="#part-{{ loop.index }}">{{ section.title }}</a> {% endfor %}</nav>
</header>
<main>
{% for section in sections %}
<section id="part-{{ loop.index }}">
<h2>{{ section.title }}</h2>
{% for text in section.texts %}<p>{{ text }}</p>
{% endfor %}
{% for picture in section.pictures %}<figure role="img" aria-label="{{ picture.words }}">
{{ picture.svg | safe }}</figure>
{% endfor %}
{% for table in section.tables %}<div class="scroll"><table>
<thead><tr>
{% for cell in table.head %}<th scope="col"{{ right(table, loop.index0) }}>{{ cell }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for row in table.rows %}<tr>
{% for cell in row %}<td{{ right(table, loop.index0) }}>{{ cell }}</td>{% endfor %}
</tr>
{% endfor %}</tbody></table></div>
{% endfor %}
{% for command in section.commands %}
<pre{% if "\n" in command %} class="two"{% endif %}><code>{{ command }}</code></pre>
{% endfor %}
</section>
{% endfor %}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Section:
    """One part of the page, in this order: its text, its pictures, its tables, its commands."""

    title: str
    texts: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    commands: tuple[str, ...] = ()


def render(title: str, subtitle: str, verdict: str, sections: list[Section]) -> str:
    """The whole page in plain ASCII. Text is escaped: a cause or a name may hold anything."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(TEMPLATE).render(
        title=title, subtitle=subtitle, verdict=verdict, sections=sections, right=_right
    )
    return page.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _right(table: Table, column: int) -> object:
    """The attribute that sets a column of numbers to the right."""
    from markupsafe import Markup

    cells = [row[column] for row in table.rows if row[column] and table.head != FACTS]
    return Markup(' class="n"') if cells and all(NUMBER.fullmatch(cell) for cell in cells) else ""
