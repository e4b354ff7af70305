"""The text of a model card, which train_fn/card.py fills in with Jinja.

Its filters: `whole` is a count, `share` a number with its decimals, or a dash where there is none.
"""

USE = """from transformers import pipeline

detector = pipeline("text-classification", model="merged", truncation=True, top_k=None)
print(detector("The text to judge."))"""

TEMPLATE = """# {{ name }}

Tells text written by an AI from text written by a person: {{ base }}\
{{ " at revision " ~ lineage.model_revision if lineage.model_revision }}, fine-tuned in 4 bits with LoRA on the
data set {{ data.name }}. The score of a text is P(AI_Generated), from 0 to 1.

## Use

{% if merged %}
In this folder:

```python
{{ use }}
```

`merged/` needs Transformers alone: LoRA, added to the 4-bit base that it was trained on and rounded to bf16. Its
logits differ from the adapter's by at most {{ "%.2g" % merged.rounded.largest }}, on {{ merged.rows }} validation
rows.

{% endif %}
`adapter/` holds LoRA and the head, for PEFT's `AutoPeftModelForSequenceClassification` on the base in 4 bits.
Texts longer than {{ train.max_length }} tokens are cut.

## How good it is

On {{ metrics.test.rows | whole }} test rows, called AI_Generated from a score of 0.5:

| | before training | after |
| --- | ---: | ---: |
{% for key, title in titles.items() %}
| {{ title }} | {{ (metrics.test_before or {}).get(key) | share }} | {{ metrics.test[key] | share }} |
{% endfor %}

TF-IDF with logistic regression on the same rows: balanced accuracy {{ metrics.tfidf_balanced_accuracy | share }}.
{% if evaluated %}
Intervals, calibration, and the figures of each domain and generator: `evaluation.json`.
{% endif %}

{% if thresholds %}
## Thresholds

Chosen on the human texts of validation, so that at most so many are called AI_Generated:

| false positives | from a score of | or a calibrated one of | human texts called AI_Generated |
| --- | ---: | ---: | --- |
{% for key, point in thresholds.global.items() %}
| {{ key.removeprefix("fpr_") }} % | {{ chance(point.margin) | share(6) }} | {{ point.probability | share(6) }} | \
{{ point.why or "%d of %d" | format(point.false_positives, point.human_texts) }} |
{% endfor %}

A calibrated probability is the sigmoid of the difference of the logits over {{ "%.3f" % thresholds.temperature }}.
`thresholds.json` has {{ thresholds.domains | length }} domains' own.

{% endif %}
## Data

- {{ data.name }}{{ " at revision " ~ data.revision if data.revision }}, fingerprint {{ data.fingerprint }}
- {{ train.splits }} splits{{ ", hash " ~ data.split_hash if data.split_hash }}
{% for split, rows in lineage.rows.items() %}
- {{ rows | whole }} rows {{ split }}
{% endfor %}
{% for line in audit %}
- {{ line }}
{% endfor %}
{% for split, found in lineage.get("seen_by_search", {}).items() %}
- {{ found.seen | whole }} of the {{ found.rows | whole }} {{ split }} rows have a text that the search trained on
{% endfor %}

## Training

```yaml
{{ settings }}
```

{% for label in labels %}
- {{ facts["train_rows_" ~ label] | whole }} rows {{ label }}, weight {{ facts["class_weight_" ~ label] | share }}
{% endfor %}

{% if lineage.study %}
## Search

Study {{ lineage.study }}, trial {{ lineage.trial }}: {{ reason }}
{% if "learning_rate" in lineage %}
{{ lineage.learning_rate.sentence }}
{% endif %}

{% endif %}
## Compute

- {{ "%.1f" % (result.seconds / 60) }} minutes of training on {{ facts.ranks }} x {{ facts.device }}
- in {{ facts.dtype }}, with {{ facts.attention }} attention
{% if sittings %}
- {{ "%.1f" % (sittings.values() | sum / 60) }} minutes altogether
{% endif %}
- {{ lineage.versions.items() | map("join", " ") | join(", ") }}

## Limits

- Trained and scored on {{ data.name }} alone. On other kinds of text, languages and generators, and on text that
  was changed to mislead it, its errors are unknown.
- A score is no proof. At a false positive rate of 5 % one human text in twenty is called AI_Generated.
{% if leaks %}
- Rows of validation and test have relatives in train (see Data), so the figures are better than on new text.
{% endif %}
{% if random %}
- Its base is random: it shows that the path works, not how good a detector is.
{% endif %}

## Licence

{{ licence or "None is stated." }}
"""
