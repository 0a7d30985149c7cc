#!/bin/sh
# Each line: the input of sum.sh, and what it should print.
set -u
failed=0
check() {
    printf "$1" > input.tmp
    got=$(sh sum.sh input.tmp)
    rm -f input.tmp
    if [ "$got" = "$2" ]; then
        echo "ok      $3"
    else
        echo "FAILED  $3: wanted $2, got $got"
        failed=1
    fi
}
check '' 0 'an empty file'
check '1\n2\n3\n' 6 'three lines'
check '1\n2\n3' 6 'a last line without an end'
exit $failed
