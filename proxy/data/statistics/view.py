"""One text analysed once: what several statistics share is worked out on first use and kept while the view lives."""

from collections import Counter
from functools import cached_property

from proxy.data.statistics.characters import CharacterCounts, count_characters
from proxy.data.statistics.lines import Lines, Repeated, count_sentences, find_lines, find_paragraphs
from proxy.data.statistics.words import RepeatedNgrams, Words, count_stop_words, find_words, repeated_ngrams

LONGEST_NGRAM = 10


class TextView:
    """Lazy: a statistic pays for what it reads and no more."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def characters(self) -> CharacterCounts:
        """Characters by class."""
        return count_characters(self.text)

    @cached_property
    def words(self) -> Words:
        """Words as numbers."""
        return find_words(self.text)

    @cached_property
    def stop_words(self) -> Counter[str]:
        """How often each of Gopher's eight stop words occurs."""
        return count_stop_words(self.text)

    @cached_property
    def ngrams(self) -> dict[int, RepeatedNgrams]:
        """What repeated word n-grams cover, by n from 2 to 10."""
        return {ngrams.length: ngrams for ngrams in repeated_ngrams(self.words, LONGEST_NGRAM)}

    @cached_property
    def lines(self) -> Lines:
        """Lines."""
        return find_lines(self.text)

    @cached_property
    def paragraphs(self) -> Repeated:
        """Paragraphs."""
        return find_paragraphs(self.text)

    @cached_property
    def sentences(self) -> int:
        """Sentences, by their ends."""
        return count_sentences(self.text)
