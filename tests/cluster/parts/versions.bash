# SPDX-License-Identifier: Apache-2.0
#
# Versions, aliases that split, rollback; variables.

for word in one two three; do
    expect "deploy of version $word" 0 '^word version [123] ' \
        "$weft" deploy "$work/tool.wasm" --name word --env "WORD=$word" --note "says $word"
done
word() {
    "$weft" invoke "$1" --input "env WORD" && echo
}
same "the newest version" three "$(word word)"
same "a version by number" one "$(word word:1)"
expect "a version that is not there" 2 'word' "$weft" invoke word:9
expect "functions show" 0 '^ +2 .*says two' "$weft" functions show word

expect "an alias" 0 'done' "$weft" functions alias word:live 2
same "calls by the alias" two "$(word word:live)"
expect "an alias of two versions" 0 'done' "$weft" functions alias word:live 1 2 50
split=$(for _ in $(seq 40); do word word:live; done | sort | uniq -c | awk '{ print $2 }' | xargs)
same "both are called" "one two" "$split"
expect "an alias of two versions, all to one" 0 'done' "$weft" functions alias word:live 1 2 100
same "all are of the other" "two" \
    "$(for _ in $(seq 20); do word word:live; done | sort | uniq)"
expect "no alias" 0 'removed' "$weft" functions unalias word:live
expect "an alias that is not there" 2 'live' "$weft" invoke word:live

expect "rollback" 0 '^word is version 2$' "$weft" functions rollback word
same "after the rollback" two "$(word word)"
expect "rollback to one" 0 '^word is version 1$' "$weft" functions rollback word 1
same "after that" one "$(word word)"
expect "rollback to what is not there" 2 '' "$weft" functions rollback word 9
expect "deploy after a rollback" 0 '^word version 4 ' \
    "$weft" deploy "$work/tool.wasm" --name word --env WORD=four
same "it is the newest" four "$(word word)"
expect "remove a version" 0 'removed' "$weft" functions rm word:3
expect "it is gone" 2 'word' "$weft" invoke word:3
expect "remove a function" 0 'removed' "$weft" functions rm word
expect "that is gone too" 2 'word' "$weft" invoke word

# ------------------------------------------------------------------------------ variables
expect "a variable" 0 'set' "$weft" variable set COLOUR blue
in_colour() {
    [ "$("$weft" invoke tool --input "env COLOUR")" = "$1" ]
}
expect_soon "calls have it" 10 in_colour blue
expect "another value" 0 'set' "$weft" variable set COLOUR green
expect_soon "calls have that" 10 in_colour green
expect "it is listed" 0 '^COLOUR +green' "$weft" variable
expect "a version's own comes first" 0 '' \
    "$weft" deploy "$work/tool.wasm" --name coloured --env COLOUR=red
same "it does" red "$("$weft" invoke coloured --input "env COLOUR")"
expect "remove it" 0 'removed' "$weft" variable rm COLOUR
expect_soon "calls have it no more" 10 in_colour "(none)"

# ---------------------------------------------------------------------------------- files
expect "put a file" 0 '' "$weft" files put "$here/guests/tool.c" /notes/two.txt
expect "files" 0 '^/?notes/two\.txt ' "$weft" files
expect "get a file" 0 'Guest of tests.cluster' "$weft" files get /notes/two.txt
expect "remove a file" 0 '' "$weft" files rm /notes/two.txt
expect "which is gone" 2 '' "$weft" files get /notes/two.txt
