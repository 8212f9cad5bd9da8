"""One small file a format, of the shape that the published ones have."""

REGMIX = """
train:
  train_web: 0.7
  train_books: 0.3
  train_code: 0
valid:
  valid_web: 1.0
model_name: small
"""

DCLM_DATASET = """
{"uuid": "1-2", "name": "mix of two", "dataset_url": "s3://bucket/mix", "tokenizer": "org/tok", "num_tokens": 1000,
 "sources": [{"uuid": "a", "name": "web_clean"}, {"uuid": "b", "name": "books_all"}, {"uuid": "b", "name": "books_all"},
             {"uuid": "c", "name": "wiki"}],
 "sampling_yaml": {"sources": [{"source": "WEB", "markers": ["web_clean/"]}, {"source": "BOOKS", "markers": ["book"]},
                               {"source": "UNKNOWN", "markers": []}],
                   "sampling_frequencies": {"WEB": 0.5, "BOOKS": 1.5, "UNKNOWN": 0.0}}}
"""

DCLM_PROCESSING = """
- source: crawl
  steps:
    - func: url_substring_filter
      banlist_from_fname: lists/words.txt
    - func: page_length_filter
      length_type: word
      min_length: 40
      ignore_punctuation: True
    - func: newline_removal_modifier
      max_consecutive: 2
    - func: alphabetic_word_ratio_filter
      max_ratio: 0.25
    - func: massive_web_repetition_filters
      skip_paragraph: True
    - func: quality_filter
      key: score
      threshold: 0.02
    - func: random_sampling_filter
      keep_probability: 0.5
    - func: brand_new_filter
      strength: 3
- source: forum
  steps:
    - func: exact_dedup
"""

OLMIX = """
name: two levels
description: one launch
infra: {cluster: big}
training: {proxy_model_id: tiny, seed: 1}
data:
  sources:
    - name: web
      topics:
        - name: science
          quality:
            - {name: high, paths: [s3://bucket/science/high/*.npy]}
            - {name: low, paths: [s3://bucket/science/low/*.npy]}
        - {name: sports, paths: [s3://bucket/sports/*.npy]}
    - {name: wiki, paths: [s3://bucket/wiki/*.npy]}
    - {name: unused, paths: [s3://bucket/unused/*.npy]}
mix:
  web:
    weight: 0.8
    repetition_factor: 2.0
    science:
      weight: 0.6
      high: {weight: 1, repetition_factor: 4}
      low: {weight: 0}
    sports: {weight: 0.4}
  wiki: 0.2
"""

REGMIXER = """
name: swarm
variants: 8
mix_temperature: 0.5
max_tokens: 1000
allow_repetition: false
sources:
  - name: web
    max_repetition_factor: 3
    topics:
      - {name: news, weight: 0.25, paths: [s3://bucket/news]}
      - {name: blogs, weight: 0.75, paths: [s3://bucket/blogs]}
  - {name: code, paths: [s3://bucket/code]}
"""

DOLMA = """
streams:
  - name: web
    documents: [s3://bucket/web/*.gz]
    attributes: [tags_v1]
    output: {path: s3://bucket/out, max_size_in_bytes: 100, min_text_length: 20}
    filter:
      include:
        - "$.attributes[?(@.numbers__random_number_v1__random[0][2] < 0.25)]"
      exclude:
        - "$.attributes[?(@.g__v1__word_count && @.g__v1__word_count[0] && @.g__v1__word_count[0][2] < 50)]"
        - "$.attributes[?(@.gopher__v1__fraction_of_duplicate_lines[0][2] >= 0.3)]"
        - "$.attributes[?(@.gopher__v1__median_word_length[0][2] > 10)]"
        - "$.attributes[?(@.lists__blocklist__url)]"
    span_replacement:
      - {span: $.attributes.emails, min_score: 0.5, replacement: EMAIL}
  - name: books
    documents: [s3://bucket/books/*.gz]
    output: {path: s3://bucket/out}
processes: 4
"""

DATA_JUICER = """
project_name: cleaning
dataset_path: data/crawl-small.jsonl
export_path: out/clean.jsonl
np: 4
process:
  - whitespace_normalization_mapper
  - text_length_filter:
      max_len: 5000
  - words_num_filter: {lang: en, tokenization: false, min_num: 20, max_num: 9223372036854775807}
  - word_repetition_filter: {rep_len: 5, max_ratio: 0.2}
  - language_id_score_filter: {lang: en, min_score: 0.8}
  - special_characters_filter:
  - topk_specified_field_selector: {field_key: score, top_ratio: 0.2, reverse: true}
  - document_minhash_deduplicator: {window_size: 5, num_bands: 9, num_rows_per_band: 13, jaccard_threshold: 0.7}
  - average_line_length_filter: {min_len: 5}
"""

DATATROVE = """
name: as a list
corpus: crawl
pipeline:
  - name: WarcReader
    arguments: {data_folder: s3://bucket}
  - name: GopherQualityFilter
    arguments: {min_doc_words: 30, min_stop_words: 0, language: english}
  - name: GopherRepetitionFilter
    arguments: {dup_line_frac: 0.25, top_n_grams: [[2, 0.2], [7, 0.1]]}
  - name: C4QualityFilter
    arguments: {filter_curly_bracket: false, filter_no_terminal_punct: false}
  - name: FineWebQualityFilter
  - name: LanguageFilter
    arguments: {languages: [en]}
  - name: SamplerFilter
    arguments: {rate: 0.5, seed: 3}
  - name: MinhashDedupSignature
    arguments: {config: {n_grams: 5, num_buckets: 14, hashes_per_bucket: 8, hash_config: {precision: 64}}}
"""

EXAMPLES = {
    "regmix": (REGMIX,),
    "dclm-dataset": (DCLM_DATASET,),
    "dclm-processing": (DCLM_PROCESSING,),
    "olmix": (OLMIX, REGMIXER),
    "dolma": (DOLMA,),
    "data-juicer": (DATA_JUICER,),
    "datatrove": (DATATROVE,),
}
PAIRS = [(format, text) for format, texts in EXAMPLES.items() for text in texts]
