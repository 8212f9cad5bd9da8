"""Data-Juicer's operators: which of their parameters bound which statistic, and why others have no counterpart.

Defaults are the operators' own, as of October 2025.
"""

from collections.abc import Mapping

from proxy.importers.report import Kind
from proxy.importers.steps import Bounds

LANGUAGE = {"lang": "chooses a tokenizer, and words are cut at white space here"}
NO_TOKENIZER = {"tokenization": False}
BOUNDS: Mapping[str, Bounds] = {
    "text_length_filter": Bounds(
        statistic="characters", minimum="min_len", maximum="max_len", defaults={"min_len": 10}
    ),
    "words_num_filter": Bounds(
        statistic="words",
        minimum="min_num",
        maximum="max_num",
        defaults={"min_num": 10},
        differs="count words of marks alone, which are stripped away there",
        neutral=NO_TOKENIZER,
        silent=LANGUAGE,
    ),
    "average_line_length_filter": Bounds(
        statistic="mean_line_length",
        minimum="min_len",
        maximum="max_len",
        defaults={"min_len": 10},
        differs="leaves out empty lines and line feeds, which count there",
    ),
    "maximum_line_length_filter": Bounds(
        statistic="longest_line",
        minimum="min_len",
        maximum="max_len",
        defaults={"min_len": 10},
        differs="leaves out white space at the end of a line",
    ),
}
WORD_REPETITION = "is the share of characters in repeats after the first; there repeated n-grams of all, the first too"
_FIELDS = "keep by a field of the documents instead"
LOSSES: Mapping[str, tuple[Kind, str]] = {
    "alphanumeric_filter": (Kind.MEANING, "letters and digits together are no statistic here"),
    "special_characters_filter": (Kind.MEANING, "marks, digits, white space and emoji together are no statistic here"),
    "character_repetition_filter": (Kind.MEANING, "character n-grams are not counted here"),
    "stopwords_filter": (Kind.LIST, "needs their list of stop words; stop_word_share here knows eight"),
    "flagged_words_filter": (Kind.LIST, "needs their list of flagged words"),
    "suffix_filter": (Kind.LIST, _FIELDS),
    "language_id_score_filter": (Kind.MODEL, f"needs a language model's score; {_FIELDS}"),
    "perplexity_filter": (Kind.MODEL, f"needs a language model's score; {_FIELDS}"),
    "token_num_filter": (Kind.MEANING, "filters do not see tokens"),
    "text_action_filter": (Kind.MODEL, "needs a parser"),
    "text_entity_dependency_filter": (Kind.MODEL, "needs a parser"),
    "document_simhash_deduplicator": (Kind.MEANING, "is SimHash; near dedup here is MinHash, whose thresholds differ"),
    "general_field_filter": (Kind.MEANING, "is an expression; write field filters instead"),
    "frequency_specified_field_selector": (Kind.MEANING, "selects by how common a field's value is"),
}
BY_ENDING = (
    ("_mapper", Kind.EDIT, "edits or makes samples"),
    ("_grouper", Kind.EDIT, "makes samples of several"),
    ("_aggregator", Kind.EDIT, "makes samples of several"),
)
BY_BEGINNING = (
    (
        ("image_", "video_", "audio_", "phrase_grounding_", "ray_image_", "ray_video_"),
        Kind.MEANING,
        "is not about text",
    ),
    (
        ("llm_", "instruction_following_", "in_context_", "text_embd_", "text_pair_"),
        Kind.MODEL,
        f"needs a model's score; {_FIELDS}",
    ),
)
OTHER_FIELDS: Mapping[str, tuple[Kind, str]] = {
    **dict.fromkeys(
        "np export_path open_tracer executor_type use_cache ray_address export_original_dataset keep_stats_in_res_ds "
        "open_monitor export_type export_shard_size export_in_parallel keep_hashes_in_res_ds export_extra_args turbo "
        "skip_op_error ds_cache_dir use_checkpoint temp_dir op_list_to_trace trace_num op_fusion fusion_strategy "
        "cache_compress adaptive_batch_size percentiles save_stats_in_one_file data_probe_algo data_probe_ratio "
        "hpo_config custom_operator_paths notification annotation validators".split(),
        (Kind.BOOKKEEPING, "is not about what is trained on"),
    ),
    **dict.fromkeys(
        "dataset text_keys text_key suffixes generated_dataset_config".split(),
        (Kind.LOCATION, "register a corpus from these files"),
    ),
    **dict.fromkeys(
        "image_key image_special_token video_key video_special_token audio_key audio_special_token image_bytes_key "
        "eoc_special_token".split(),
        (Kind.MEANING, "is not about text"),
    ),
}
