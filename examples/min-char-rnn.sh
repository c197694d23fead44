#!/bin/sh
# A model of characters: first an Elman network of 100 units as in Karpathy's min-char-rnn (blocks of 25 characters,
# Adagrad, one text read from front to back), then two layers of LSTM (the recipe `char`).  Both print some text as they
# learn; at the end stand the bits a character of text that neither has seen.
#
#   sh examples/min-char-rnn.sh [TEXT] [FOLDER]
#
# TEXT: tiny-shakespeare is usual, 1.1 MB of Shakespeare's plays in one file; without one, the documentation that comes
# with Python.  Its first 90 % train, 5 % choose the best epoch, the last 5 % are for the test.  Models go to FOLDER
# (char-rnn); when training was stopped, the same command goes on with it.  EPOCHS (of the Elman network, 10),
# LSTM_EPOCHS (5; the recipe has 20) and SNAPSHOT (characters between two samples) can be set in the environment.
#
# Of tiny-shakespeare, with EPOCHS=5 and LSTM_EPOCHS=2: 2.86 bits a character by the Elman network, 2.62 by the LSTM,
# which is still far from its end there (one run, seed 1).
set -eu

text=${1:-} work=${2:-char-rnn}
if [ -n "$text" ] && [ ! -r "$text" ]; then
    echo "$text: cannot be read" >&2
    exit 1
fi
mkdir -p "$work"

# ---- three parts, not drawn but in the order of the text: neighbouring lines are too much alike to test on

part() { # NAME FROM TO: lines of the text, in hundredths of it, unless they are there
    if [ -e "$work/$1.txt" ]; then return; fi
    awk -v lines="$(wc -l <"$text")" -v from="$2" -v to="$3" \
        'NR > lines * from / 100 && NR <= lines * to / 100' "$text" >"$work/$1.txt"
}
if [ -z "$text" ]; then
    text=$work/python-docs.txt
    if [ ! -e "$text" ]; then corpora sample python-docs >"$text"; fi
fi
part train 0 90
part valid 90 95
part test 95 100

# ---- networks

train() { # NAME OPTION...: a network, unless it is there
    name=$1
    shift
    if [ -e "$work/$name.done" ]; then return; fi
    if [ -e "$work/$name.rnnlm.checkpoint" ]; then force=; else force=--force; fi
    rnnlm train "$work/train.txt" --valid "$work/valid.txt" -o "$work/$name.rnnlm" --log "$work/$name.jsonl" \
        --snapshot "${SNAPSHOT:-1000000}" "$@" $force
    : >"$work/$name.done"
}

echo "An Elman network of 100 units:"
train elman --tokenizer char --cell elman --hidden 100 --activation tanh --class 1 --engine minibatch --batch-size 1 \
    --bptt 25 --optimizer adagrad --alpha 0.1 --schedule constant --max-iter "${EPOCHS:-10}"
echo
echo "Two layers of LSTM:"
train lstm --recipe char --max-iter "${LSTM_EPOCHS:-5}"

# ---- a sentence is a line here and a word a character: the end of a line counts as one

for name in elman lstm; do
    echo
    echo "$name: bits per word are bits a character"
    rnnlm ppl -m "$work/$name.rnnlm" "$work/test.txt"
    rnnlm generate -m "$work/$name.rnnlm" --words 400 --seed 1
done
