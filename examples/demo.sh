#!/bin/sh
# Train two recurrent language models, an n-gram model and word vectors on the documentation that every Python carries,
# and use them.
# `make demo` runs this.
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

say "6. An LSTM learns from the same text, with dropout.  (\`rnnlm train --recipe small --show\` prints its settings.)"
show "rnnlm train docs.train.txt --valid docs.valid.txt -o lstm.rnnlm --recipe small --alpha 0.006 --dropout 0.25 --max-iter 8 --min-count 2 --force"
show "rnnlm ppl -m lstm.rnnlm docs.test.txt --oov unk"

say "7. An n-gram model of the same words, with modified Kneser-Ney smoothing, for comparison."
show "corpora vocab docs.train.txt --min-count 2 > docs.vocab"
show "rnnlm ngram docs.train.txt --vocab docs.vocab -o kn3.lm --discounts --force"
show "rnnlm ppl -m kn3.lm docs.test.txt --oov unk"

say "8. All three together, with the weights that suit the validation text best.  The mixture is a model like others."
show "rnnlm mix -m docs.rnnlm -m lstm.rnnlm -m kn3.lm --tune docs.valid.txt --oov unk -o mix.json --force"
show "rnnlm ppl -m mix.json docs.test.txt --oov unk"

say "9. What did a recogniser hear?  The mixture ranks its hypotheses."
cat > heard.txt <<'END'
u1 the functions return a no object .
u1 the function returns a no object .
u1 the function returns a new object .
END
show "rnnlm rescore -m mix.json heard.txt"

say "10. Words that belong together become one word ..."
show "w2v phrases docs.txt -o phrases.txt --threshold 20 --bigrams phrases.tsv --force"
show "head -n 6 phrases.tsv"

say "11. ... and skip-gram learns a vector for each word.  The text is small, so it is read ten times at a high rate."
show "w2v train phrases.txt -o docs.w2v --skipgram --size 50 --min-count 2 --iter 10 --alpha 0.1 --deterministic --force"

say "12. Which words are used alike?"
show "w2v nearest docs.w2v exception floating_point -n 3"

say "13. What is to __gt__ as < is to __lt__?"
show "w2v analogy docs.w2v __lt__ '<' __gt__ -n 3"

say "14. Elman's sentences of 1990, two and three words long: their 29 words fall into classes by their vectors."
show "corpora grammar elman1990 -n 10000 --seed 1 -o sentences.txt --force"
show "w2v train sentences.txt -o elman.w2v --size 20 --skipgram --window 2 --sample 0 --deterministic --force"
show "w2v cluster elman.w2v -k 8 --sort class -o classes.txt --force"
show "awk '{ words[\$2] = words[\$2] \" \" \$1 } END { for (k = 0; k < 8; k++) print k \":\" words[k] }' classes.txt"

say "What is in the models:"
show "rnnlm info kn3.lm"
show "rnnlm info docs.rnnlm"
show "w2v info docs.w2v"
say "All of this is in $(pwd)."
