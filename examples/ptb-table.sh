#!/bin/sh
# The Penn Treebank table of Mikolov, Deoras, Kombrink, Burget and Cernocky (2011), "Empirical Evaluation and
# Combination of Advanced Language Modeling Techniques": n-gram models, a cache and recurrent networks, alone and mixed.
# Weights of mixtures are fitted to the validation text.  About 20 minutes on two processors.
#
#   sh examples/ptb-table.sh FOLDER [WORK]
#
# FOLDER has ptb.train.txt, ptb.valid.txt and ptb.test.txt (LDC licence: for research; `corpora fetch ptb` loads them).
# Models go to WORK (ptb-table).  When it was stopped, the same command goes on: what is complete there is kept, whatever
# the settings were.
# HIDDEN, NETWORKS, CACHE_DECAY, DYNAMIC and JOBS (networks trained at a time) can be set in the environment.
set -eu
LC_ALL=C
export LC_ALL

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: $0 FOLDER [WORK]" >&2
    exit 2
fi
folder=$(cd "$1" && pwd)
train=$folder/ptb.train.txt valid=$folder/ptb.valid.txt test=$folder/ptb.test.txt
for file in "$train" "$valid" "$test"; do
    if [ ! -r "$file" ]; then
        echo "$file: cannot be read" >&2
        exit 1
    fi
done
work=${2:-ptb-table}
hidden=${HIDDEN:-300} networks=${NETWORKS:-5} decay=${CACHE_DECAY:-0.008} alpha=${DYNAMIC:-0.02}
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}
export train valid hidden
mkdir -p "$work"
cd "$work"
began=$(date +%s)

# once NAME COMMAND...: unless NAME is complete, run the command; its output goes to NAME.out, its time to NAME.times
once() {
    name=$1
    shift
    if [ ! -e "$name.times" ]; then
        echo "$*" >&2
        ("$@" >"$name.out" && times >"$name.times")
    fi
}

score() { # NAME OPTION...: perplexity of the test text
    name=$1
    shift
    once "$name.ppl" rnnlm ppl "$@" --format tsv "$test"
}

estimate() { # NAME OPTION...: an n-gram model
    name=$1
    shift
    once "$name" rnnlm ngram "$train" -o "$name.lm" --force "$@"
    score "$name" -m "$name.lm"
}

combine() { # NAME OPTION...: a mixture
    name=$1
    shift
    once "$name" rnnlm mix "$@" --tune "$valid" -o "$name.json" --force
    score "$name" -m "$name.json"
}

# ---- n-gram models

estimate gt3 --order 3 --smoothing good-turing
estimate gt5 --order 5 --smoothing good-turing
estimate kn3 --order 3
estimate kn5 --order 5
combine kn5-cache -m kn5.lm --cache-decay "$decay"

# ---- networks: some at a time, in the foreground, so that Ctrl-C reaches them and they save their state

network='
    set -eu
    name=rnn$1
    if [ -e "$name.times" ]; then exit; fi
    if [ -e "$name.rnnlm.checkpoint" ]; then force=; else force=--force; fi
    echo "rnnlm train $train -o $name.rnnlm --seed $1 ..." >&2
    rnnlm train "$train" --valid "$valid" -o "$name.rnnlm" --seed "$1" --hidden "$hidden" --class 100 \
        --bptt 5 --bptt-block 10 --beta 3e-5 --min-improvement 1.002 $force >"$name.out"
    times >"$name.times"
'
seed=0
models=
while [ "$seed" -lt "$networks" ]; do
    seed=$((seed + 1))
    models="$models -m rnn$seed.rnnlm"
    echo "$seed"
done >seeds
xargs -n 1 -P "$jobs" sh -c "$network" sh <seeds

seed=0
while [ "$seed" -lt "$networks" ]; do
    seed=$((seed + 1))
    score "rnn$seed" -m "rnn$seed.rnnlm"
done
score rnn1-dynamic -m rnn1.rnnlm --dynamic "$alpha"

# ---- mixtures; $models is a list of options

combine rnn1-kn5 -m rnn1.rnnlm -m kn5.lm
combine rnn1-kn5-cache -m rnn1.rnnlm -m kn5.lm --cache-decay "$decay"
combine rnns $models
combine rnns-kn5 $models -m kn5.lm
combine rnns-kn5-cache $models -m kn5.lm --cache-decay "$decay"
combine everything $models -m gt3.lm -m gt5.lm -m kn3.lm -m kn5.lm --cache-decay "$decay"
score everything-dynamic -m everything.json --dynamic "$alpha"

# ---- the table

perplexity() {
    awk -F '\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "perplexity") column = i }
                 NR == 2 { printf "%.2f", $column }' "$1.ppl.out"
}

seconds() { # NAME...: processor seconds of what was run; of an interrupted training only its last part
    for name in "$@"; do
        sed -n 2p "$name.times"
    done | awk '{ for (i = 1; i <= NF; i++) { split($i, part, "[ms]"); sum += 60 * part[1] + part[2] } }
                END { printf "%.1f", sum }'
}

row() { # LABEL NAME PUBLISHED MADE...: MADE are the steps that are counted
    label=$1 name=$2 published=$3
    shift 3
    printf '| %s | %s | %s | %s |\n' "$label" "$(perplexity "$name")" "$published" "$(seconds "$@")"
}

echo "| model | test perplexity | published | CPU seconds, its parts apart |"
echo "|---|---|---|---|"
row "3-gram, Good-Turing" gt3 165.2 gt3
row "5-gram, Good-Turing" gt5 162.3 gt5
row "3-gram, Kneser-Ney" kn3 148.3 kn3
row "5-gram, Kneser-Ney (KN5)" kn5 141.2 kn5
row "KN5 + cache" kn5-cache 125.7 kn5-cache
row "RNNLM, $hidden units" rnn1 124.7 rnn1
row "RNNLM, dynamic" rnn1-dynamic 123.2 rnn1-dynamic.ppl
row "RNNLM + KN5" rnn1-kn5 105.7 rnn1-kn5
row "RNNLM + KN5 + cache" rnn1-kn5-cache 97.5 rnn1-kn5-cache
seed=1
while [ "$seed" -lt "$networks" ]; do
    seed=$((seed + 1))
    row "RNNLM, seed $seed" "rnn$seed" "" "rnn$seed"
done
row "$networks RNNLMs" rnns "102.1 (20)" rnns
row "$networks RNNLMs + KN5" rnns-kn5 "95.5 (20)" rnns-kn5
row "$networks RNNLMs + KN5 + cache" rnns-kn5-cache "89.4 (20)" rnns-kn5-cache
row "everything" everything "" everything
row "everything, dynamic" everything-dynamic "79.4 (more kinds of models)" everything-dynamic.ppl
echo
echo "$(($(date +%s) - began)) seconds in all, without what was there before"
