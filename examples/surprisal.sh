#!/bin/sh
# Train on Elman's (1993) sentences with relative clauses and agreement, compare with the best that is possible,
# and look at two verbs that must agree with a noun across a clause.  Some seconds, and
# half a minute the first time, for compiling; needs no other data.
#
#   sh examples/surprisal.sh [DIRECTORY]
set -eu

directory=${1:-surprisal-example}
mkdir -p "$directory"
cd "$directory"

corpora grammar elman1993 -n 20000 --seed 1 -o train.txt --force
corpora grammar elman1993 -n 1000 --seed 2 -o valid.txt --force
corpora grammar elman1993 -n 1000 --seed 3 -o test.txt --force

rnnlm train train.txt --valid valid.txt -o elman.rnnlm --hidden 40 --class 1 --independent --force
echo
echo "The model, and the lowest perplexity that any model can reach:"
rnnlm ppl -m elman.rnnlm test.txt
corpora grammar elman1993 --entropy

# the same verb twice: it agrees with "boy" in the first sentence, and violates agreement in the second
printf '%s\n' 'boy who dogs chase walks .' 'boy who dogs chase walk .' > items.txt
echo
echo "Surprisal of the verb (position 5), in bits:"
rnnlm surprisal -m elman.rnnlm items.txt > items.tsv
awk -F '\t' 'NR == 1 || $2 == 5' items.tsv
