#!/bin/sh
# Word vectors of a text: its phrases are joined, skip-gram learns vectors of words and phrases, and they are judged by
# analogies and by people's scores of pairs of words.  Some 100 MB of text, such as Wikipedia's, make useful ones; on a
# small text lower MIN_COUNT and raise ITER.
#
#   sh examples/word-vectors.sh TEXT [QUESTIONS [PAIRS...]]
#
# TEXT: a sentence a line, words between spaces.  QUESTIONS: such as word2vec's questions-words.txt.  PAIRS: two words
# and a score a line, such as WordSim-353.  Results go to the folder WORK (word-vectors); when training was stopped the
# same command goes on with it.  SIZE, ITER, MIN_COUNT and THRESHOLDS can be set in the environment.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: $0 TEXT [QUESTIONS [PAIRS...]]" >&2
    exit 2
fi
text=$1 questions=${2:-}
shift
if [ $# -gt 0 ]; then shift; fi
work=${WORK:-word-vectors}
mkdir -p "$work"
vectors=$work/vectors.w2v

if [ ! -e "$work/phrases.txt" ]; then
    w2v phrases "$text" -o "$work/phrases.txt" --threshold "${THRESHOLDS:-200,100}" --connectors english \
        --bigrams "$work/phrases.tsv" --force
fi
echo
echo "The phrases with the highest scores:"
head -n 6 "$work/phrases.tsv"

if [ ! -e "$vectors" ]; then
    echo
    echo "Training:"
    w2v train "$work/phrases.txt" -o "$vectors" --skipgram --size "${SIZE:-100}" --sample 1e-4 --iter "${ITER:-5}" \
        --min-count "${MIN_COUNT:-5}" --log "$work/train.jsonl"
fi
echo
w2v info "$vectors"

if [ -n "$questions" ]; then
    echo
    echo "Analogies:"
    w2v accuracy "$vectors" "$questions"
fi
if [ $# -gt 0 ]; then
    echo
    echo "Similarity:"
    w2v similarity "$vectors" "$@"
fi
echo
echo "Ask it: w2v nearest $vectors"
