#!/bin/sh
# gensim 4.4.0, Phrases: what the scores of phrases are multiplied with.
#
# The usual guess: the number of different words, "size of vocabulary" as the scorer's documentation has it; or, as in
# word2phrase, the number of words of the text.
# What happens: it is the number of entries of the table of counts, in which each different pair is an entry beside each
# different word.  A text with more pairs of the same words has higher scores for pairs that it has exactly as often,
# so a threshold means something else for each text.
#
# Seen with Python 3.11.7:
#   new_york 0.3325 = (20 - 1) / 20 / 20 * 7, of 4 different words and 3 pairs, 60 words in all
#   new_york 0.4275 = (20 - 1) / 20 / 20 * 9, after "a b" and "b a" were added
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check gensim==4.4.0 numpy==2.4.6 scipy==1.17.1
"$folder/env/bin/python" - <<'END'
from gensim.models.phrases import Phrases

text = [["new", "york", "a"], ["new", "york", "b"]] * 10
for sentences, pairs in ((text, 3), (text + [["a", "b"], ["b", "a"]], 5)):
    words = {word for sentence in sentences for word in sentence}
    found = Phrases(sentences, min_count=1, threshold=1e-4).export_phrases()["new_york"]
    guess, seen = (19 / 20 / 20 * size for size in (len(words), len(words) + pairs))
    print(f"new_york {found:.4f}; by the {len(words)} words it were {guess:.4f}, with the {pairs} pairs {seen:.4f}")
    assert abs(found - seen) < 1e-9 < abs(found - guess)
END
