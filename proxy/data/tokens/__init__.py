"""Tokenised corpora: made once a (corpus, tokenizer) pair, in shards, under `<folder>/<corpus>/<tokenizer>/`.

A shard is three files that appear whole or not at all (`shards`); the manifest, written last, makes them a store
(`building`); rows are in the order of the documents' keys (`index`), so that nothing depends on the names or the order
of files. `TokenStore` maps the files and reads what is sampled, no more (`store`, `streams`). Tokens that another tool
made come in by `importing`. What machines share of all this lies in an object store (`sharing`, `copies`).
"""

from proxy.data.tokens.building import join_shards, tokenise_corpus, tokenise_shard
from proxy.data.tokens.copies import find_tokens, publish_tokens
from proxy.data.tokens.importing import ImportedTokens, import_tokens
from proxy.data.tokens.making import Making, spans_of
from proxy.data.tokens.shards import Shard
from proxy.data.tokens.sharing import SharedTokens
from proxy.data.tokens.spans import Span, plan_spans
from proxy.data.tokens.store import TokenStore, load_token_counts, open_tokens, verify_tokens
from proxy.data.tokens.streams import gather_stream

__all__ = [
    "ImportedTokens",
    "Making",
    "Shard",
    "SharedTokens",
    "Span",
    "TokenStore",
    "find_tokens",
    "gather_stream",
    "import_tokens",
    "join_shards",
    "load_token_counts",
    "open_tokens",
    "plan_spans",
    "publish_tokens",
    "spans_of",
    "tokenise_corpus",
    "tokenise_shard",
    "verify_tokens",
]
