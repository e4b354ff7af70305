"""The text of a model card, which train_fn/card.py fills in with Jinja: for a run's folder, for its adapter's, and
for a repository on the Hub.

Its filters: `whole` is a count, `number` a number with its decimals, or a dash where there is none.
"""

PIPELINE = """from transformers import pipeline

detector = pipeline("text-classification", model="{{ model }}", truncation=True, top_k=None)
print(detector("The text to judge."))"""

PEFT = """import torch
{% if download %}
from huggingface_hub import snapshot_download
{% endif %}
from peft import AutoPeftModelForSequenceClassification
from transformers import AutoTokenizer, BitsAndBytesConfig

{% if download %}
folder = snapshot_download("{{ download }}", allow_patterns="adapter/*") + "/adapter"
{% else %}
folder = "{{ folder }}"
{% endif %}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoPeftModelForSequenceClassification.from_pretrained(
    folder, dtype=torch.bfloat16, id2label={0: "AI_Generated", 1: "Human_Written"},
    quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16))
model.config.pad_token_id = tokenizer.pad_token_id
texts = tokenizer(["The text to judge."], truncation=True, max_length={{ train.max_length }}, return_tensors="pt")
print(model.eval()(**texts.to(model.device)).logits.softmax(-1)[:, 0])  # P(AI_Generated)"""

ADAPTER = """# {{ name }}: the adapter

LoRA matrices and a classification head for {{ base }}{{ revision }}, which tell text written by an AI from text
written by a person. They were trained on the base in 4 bits (NF4) and belong on it:

```python
{{ peft }}
```

On the base in 16 bits the scores differ by the error of quantisation. How good the detector is, on which data,
from which score on, and its limits: the model card {{ card }}.
"""

TEMPLATE = """# {{ name }}

Tells text written by an AI from text written by a person: {{ base }}{{ revision }}, fine-tuned in 4 bits with LoRA
on the data set {{ data.name }}. The score of a text is P(AI_Generated), from 0 to 1.

## Use

{% if merged %}
```python
{{ pipeline }}
```

{{ "The model" if hub else "`merged/`" }} needs Transformers alone: LoRA, added to the 4-bit base that it was \
trained on and rounded to bf16. Its logits differ from the adapter's by at most \
{{ "%.2g" % merged.rounded.largest }}, on {{ merged.rows }} validation rows.

{% endif %}
{{ "`adapter/` holds" if merged or not hub else "This is" }} LoRA and the head, for PEFT on the base in 4 bits:

```python
{{ peft }}
```

Texts longer than {{ train.max_length }} tokens are cut.

## How good it is

On {{ metrics.test.rows | whole }} test rows, called AI_Generated from a score of 0.5\
{{ "; intervals over " ~ evaluation.groups | whole ~ " groups of related texts" if evaluation }}:

| | before training | after | 95 % interval |
| --- | ---: | ---: | --- |
{% for row in figures %}
| {{ row | join(" | ") }} |
{% endfor %}

{% if evaluation %}
The thresholds come from validation. Noise raises a calibration error, so it may lie above its interval.
{% else %}
There are no intervals, and no figures of domains and generators, for evaluation.json is missing.
{% endif %}

TF-IDF with logistic regression on the same rows: balanced accuracy {{ metrics.tfidf_balanced_accuracy | number }}.

{% for percent, rows in domains.items() %}
At thresholds for FPR {{ percent }} %, by domain:

| domain | own threshold: TPR | FPR | global threshold: TPR | FPR |
| --- | --- | --- | --- | --- |
{% for row in rows %}
| {{ row | join(" | ") }} |
{% endfor %}

{% endfor %}
{% if generators %}
TPR at the global threshold, by generator:

| generator | texts | for FPR 5 % | for FPR 1 % |
| --- | ---: | --- | --- |
{% for row in generators %}
| {{ row | join(" | ") }} |
{% endfor %}

{% endif %}
{% if lineage.get("default") %}
### Beside the default configuration

{% if lineage.default.params == lineage.params %}
The promoted configuration is the default one.
{% else %}
A run of the default on all train rows would double the cost, so there is none unless this table names it. Each
line has runs that differ in the configuration alone.

| runs | train rows | scored rows | log loss: promoted, default | balanced accuracy | AUROC |
| --- | ---: | ---: | --- | --- | --- |
{% for each in metrics.get("default", ()) %}
| {{ each.where }} | {{ each.train_rows | whole }} | {{ each.rows | whole }} of {{ each.split }} \
{% for key in ("log_loss", "balanced_accuracy", "auroc") %}
| {{ each.promoted.get(key) | number }}, {{ each.default.get(key) | number }} \
{% endfor %}
|
{% endfor %}
{% endif %}

{% endif %}
{% if thresholds %}
## Thresholds

Chosen on the human texts of validation, so that at most so many are called AI_Generated.

| false positives | from a difference of logits of | a score of | a calibrated one of | human texts called so |
| --- | ---: | ---: | ---: | --- |
{% for key, point in thresholds.global.items() %}
| {{ key.removeprefix("fpr_") }} % | {{ point.margin | number }} | {{ chance(point.margin) | number(6) }} \
| {{ point.probability | number(6) }} \
| {{ point.why or "%d of %d" | format(point.false_positives, point.human_texts) }} |
{% endfor %}

The difference, AI_Generated less Human_Written, tells apart what scores near 0 or 1 do not.
A calibrated probability is the sigmoid of the difference of the logits over {{ "%.3f" % thresholds.temperature }}\
{{ " (" ~ evaluation.temperature.why ~ ")" if evaluation and evaluation.temperature.why }}.
`thresholds.json` has those of {{ thresholds.domains | length }} domains too, where there are texts enough for one.

{% endif %}
## Data

- {{ data.name }}{{ " at revision " ~ data.revision if data.revision }}, fingerprint {{ data.fingerprint }}
- {{ train.splits }} splits{{ ", hash " ~ data.split_hash if data.split_hash else ", as the data set has them" }}
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
- {{ facts["train_rows_" ~ label] | whole }} rows {{ label }}, weight {{ facts["class_weight_" ~ label] | number }}
{% endfor %}

{% if lineage.study %}
## Search

Study {{ lineage.study }}, trial {{ lineage.trial }}: {{ reason }}
{% if "learning_rate" in lineage %}
{{ lineage.learning_rate.sentence }}
{% endif %}
{% if lineage.get("search") %}
The search trained on {{ lineage.search.train_rows | whole }} rows of {{ lineage.search.dataset }}: \
{{ lineage.search.trials.values() | sum }} trials (\
{% for status, count in lineage.search.trials.items() %}{{ count }} {{ status }}{{ ", " if not loop.last }}\
{% endfor %}), {{ lineage.search.confirmation_runs }} runs on fresh seeds, \
{{ "%.1f" % (lineage.search.seconds / 3600) }} hours of training.
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
  was changed to mislead it, its errors are unknown, and no score tells that a text is of such a kind.
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
