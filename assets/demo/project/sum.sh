#!/bin/sh
# sum.sh FILE: prints the sum of the numbers in FILE, one a line.
total=0
while read -r number; do
    total=$((total + number))
done < "$1"
echo "$total"
