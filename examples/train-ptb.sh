#!/bin/sh
# The Penn Treebank run that the RNNLM toolkit is known for: 100 hidden units, 100 classes, BPTT 4 in blocks of 10.
# About 13 epochs; test perplexity about 150.
#
#   sh examples/train-ptb.sh                              downloads the three files (LDC licence: for research)
#   sh examples/train-ptb.sh TRAIN VALID TEST [MODEL]     takes these
set -eu

if [ $# -ge 3 ]; then
    train=$1 valid=$2 test=$3 model=${4:-ptb.rnnlm}
elif [ $# -eq 0 ]; then
    files=$(corpora fetch ptb | cut -f 1)
    train=$(printf '%s\n' "$files" | grep 'train')
    valid=$(printf '%s\n' "$files" | grep 'valid')
    test=$(printf '%s\n' "$files" | grep 'test')
    model=ptb.rnnlm
else
    echo "usage: $0 [TRAIN VALID TEST [MODEL]]" >&2
    exit 2
fi

rnnlm train "$train" --valid "$valid" -o "$model" \
    --hidden 100 --class 100 --bptt 4 --bptt-block 10 --log "$model.jsonl"
rnnlm ppl -m "$model" "$test"
