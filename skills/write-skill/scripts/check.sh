#!/bin/sh
# Says what of a skill's folder does not fit the format. Usage: check.sh FOLDER. Ends with 1 when something does not.
[ $# -eq 1 ] && [ -d "$1" ] || { echo "usage: check.sh FOLDER" >&2; exit 2; }
folder=$(cd -- "$1" && pwd) || exit 2
file=$folder/SKILL.md
faults=0
fault() { echo "$file:$1: $2"; faults=$((faults + 1)); }

[ -f "$file" ] || { echo "$file: there is no such file (the name is SKILL.md, to the letter)"; exit 1; }
head -n 1 "$file" | grep -q '^---[[:space:]]*$' || { fault 1 "it does not begin with a line ---"; exit 1; }
end=$(awk 'NR > 1 && /^---[[:space:]]*$/ { print NR; exit }' "$file")
[ -n "$end" ] || { fault 1 "the front matter has no end: a second line ---"; exit 1; }

# field KEY: the line of a key and its value, with the lines that go on with it.
field() {
    awk -v key="$1" -v end="$end" '
        NR > 1 && NR < end {
            if (index($0, key ":") == 1) { at = NR; text = substr($0, length(key) + 2); next }
            if (at && !done) { if ($0 ~ /^[[:space:]]/) text = text " " $0; else done = 1 }
        }
        END { if (at) { gsub(/[[:space:]]+/, " ", text); sub(/^ ?[>|][-+]? ?/, "", text); gsub(/^ ?["\047]?|["\047]? ?$/, "", text); print at "\t" text } }
    ' "$file"
}
name=$(field name); line=${name%%	*}; name=${name#*	}
if [ -z "$name" ]; then fault 1 "there is no name"
else
    echo "$name" | grep -Eq '^[a-z0-9]+(-[a-z0-9]+)*$' || fault "$line" "name: small letters, digits and single hyphens between them"
    [ ${#name} -le 64 ] || fault "$line" "name: ${#name} characters; at most 64"
    [ "$name" = "$(basename "$folder")" ] || fault "$line" "name: \`$name\` is not that of the folder, \`$(basename "$folder")\`"
fi
about=$(field description); line=${about%%	*}; about=${about#*	}
if [ -z "$about" ]; then fault 1 "there is no description"
else
    [ ${#about} -le 1024 ] || fault "$line" "description: ${#about} characters; at most 1024"
    echo "$about" | grep -qi 'when' || fault "$line" "description: it does not say when the skill is to be used"
fi
[ "$(wc -l <"$file")" -le 500 ] || fault 1 "more than 500 lines: move what is needed seldom to references/"
tail -n +"$((end + 1))" "$file" | grep -q '[^[:space:]]' || fault "$end" "nothing follows the front matter"
find "$folder" -type l | while read -r link; do echo "$link: a link; it is left out where the skill is used"; done
for used in $(grep -oE '(scripts|references|assets)/[A-Za-z0-9_./-]*[A-Za-z0-9_]' "$file" | sort -u); do
    [ -e "$folder/$used" ] || fault 1 "it names $used, which is not there"
done
[ $faults -eq 0 ] && echo "$folder: nothing to mend"
[ $faults -eq 0 ]
