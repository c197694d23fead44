#!/bin/sh
# n-best lists: train a model on Elman's (1993) sentences, make lists by exchanging words of other sentences, and let
# the model choose.  Some seconds, and half a minute the first time, for compiling; needs no other data.
# Word error rates need jiwer: pip install jiwer.
#
#   sh examples/rescore.sh [DIRECTORY]
set -eu

directory=${1:-rescore-example}
mkdir -p "$directory"
cd "$directory"

corpora grammar elman1993 -n 10000 --seed 1 -o train.txt --force
corpora grammar elman1993 -n 500 --seed 2 -o valid.txt --force
corpora grammar elman1993 -n 400 --seed 3 -o spoken.txt --force
rnnlm train train.txt --valid valid.txt -o elman.rnnlm --hidden 30 --class 1 --independent --max-iter 5 --force

# what a recogniser could have made of each sentence: itself and nine others with a word exchanged, in any order, with
# scores that say little.  The first line of a list is the one with the highest acoustic score.
awk 'BEGIN { srand(7); OFS = "\t"; print "utterance", "acoustic", "language", "words" }
     { for (i = 1; i <= NF; i++) word[++n] = $i; line[NR] = $0 }
     END {
         for (u = 1; u <= NR; u++) {
             acoustic = -20 - 4 * rand(); right = int(10 * rand())
             for (k = 0; k < 10; k++) {
                 length_of = split(line[u], w, " ")
                 if (k != right) w[1 + int(length_of * rand())] = word[1 + int(n * rand())]
                 text = w[1]; for (i = 2; i <= length_of; i++) text = text " " w[i]
                 print sprintf("u%03d", u), sprintf("%.3f", acoustic - k * rand()), sprintf("%.3f", -2 * length_of * (0.9 + 0.2 * rand())), text
             }
         }
     }' spoken.txt > lists.tsv
awk '{ printf "u%03d %s\n", NR, $0 }' spoken.txt > references.txt

echo
echo "The first lists with the model's scores:"
rnnlm rescore -m elman.rnnlm lists.tsv -o scored.tsv --force
head -n 6 scored.tsv
echo
echo "The best hypotheses:"
rnnlm rescore -m elman.rnnlm lists.tsv --best | head -n 3
echo
if python3 -c 'import jiwer' 2> /dev/null; then
    # the scales are fitted on one half of the lists and used for the other
    awk -F '\t' 'NR == 1 || $1 <= "u200"' lists.tsv > tune.tsv
    awk -F '\t' 'NR == 1 || $1 > "u200"' lists.tsv > test.tsv
    echo "Word error rates on the first 200, where the scales are fitted:"
    rnnlm rescore -m elman.rnnlm tune.tsv --references references.txt --tune | tee tuned.txt
    scales=$(awk '$1 == "after" { print "--lm-scale", $5, "--word-penalty", $6, "--weight", $7 }' tuned.txt)
    echo "... and on the others, with $scales:"
    # shellcheck disable=SC2086
    rnnlm rescore -m elman.rnnlm test.tsv --references references.txt $scales
else
    echo "Without jiwer no word error rates: pip install jiwer"
fi
