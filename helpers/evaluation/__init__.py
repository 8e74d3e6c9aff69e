"""06 Evaluation: how good are the generated digits?

`classifiers` recognise digits, `metrics` and `neighbours` hold the formulas, `strokes` measures handwriting, `clip`
compares images with texts, `measures` and `report_card` put it all together.
"""

from helpers.evaluation.classifiers import classify, digit_accuracy, extract_features, load_classifier, pixel_spread
from helpers.evaluation.clip import (
    DIGIT_CLIP,
    DISTRACTING_PROMPT,
    UNSEEN_PROMPTS,
    ClipUnavailable,
    clip_score,
    cosine_similarity,
    digit_prompts,
    load_clip,
    prompt_matrix,
    zero_shot,
)
from helpers.evaluation.metrics import bootstrap_interval, frechet_distance, pareto_front, wilson_interval
from helpers.evaluation.neighbours import neighbourhood
from helpers.evaluation.report_card import load_report, markdown_table
from helpers.evaluation.strokes import RULE, STROKE_MEASURES, complexity, rule_measures

__all__ = [
    "load_classifier",
    "classify",
    "digit_accuracy",
    "extract_features",
    "pixel_spread",
    "frechet_distance",
    "neighbourhood",
    "pareto_front",
    "wilson_interval",
    "bootstrap_interval",
    "STROKE_MEASURES",
    "complexity",
    "RULE",
    "rule_measures",
    "DIGIT_CLIP",
    "UNSEEN_PROMPTS",
    "DISTRACTING_PROMPT",
    "ClipUnavailable",
    "load_clip",
    "digit_prompts",
    "cosine_similarity",
    "clip_score",
    "zero_shot",
    "prompt_matrix",
    "load_report",
    "markdown_table",
]
