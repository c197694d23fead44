#!/bin/sh
# Train a recurrent language model on the documentation that every Python carries, and use it.  `make demo` runs this.
set -eu
folder=${1:-demo}
mkdir -p "$folder"
cd "$folder"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\n$ %s\n' "$*"; sh -c "$*"; }

say "1. A text: Python's reference documentation, one sentence a line, split into three parts."
show "corpora sample python-docs > docs.txt"
show "corpora split docs.txt --valid 0.05 --test 0.05 --force -o docs"
show "corpora stats docs.test.txt --against docs.train.txt"

say "2. An Elman network with 100 hidden units learns to predict the next word.  (Compiled once, the first time.)"
show "rnnlm train docs.train.txt --valid docs.valid.txt -o docs.rnnlm --hidden 100 --class 50 --min-count 2 --force"

say "3. How well does it predict text that it has not seen?  Unknown words count as <unk>."
show "rnnlm ppl -m docs.rnnlm docs.test.txt --oov unk"


say "4. What does each word of a sentence cost, in bits, and how open was the choice before it?"
show "echo 'the function returns a new object .' | rnnlm surprisal -m docs.rnnlm"

say "5. Let it write."
show "rnnlm generate -m docs.rnnlm --words 60 --seed 4 --no-unk"

say "What is in the model:"
show "rnnlm info docs.rnnlm"
say "All of this is in $(pwd)."
