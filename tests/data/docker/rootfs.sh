#!/bin/sh
# rootfs.sh PROGRAM|DIRECTORY|PATTERN...: an archive of these programs, directories and files of this machine, with the
# libraries that they are linked with: an image for tests where none can be had from elsewhere. What is not installed is
# left out.
set -eu
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# Users of it may enter it.
chmod 755 "$root"
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/tmp" "$root/etc" "$root/proc" "$root/sys" "$root/dev"
for folder in bin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
libraries() {
    ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
        folder=$(dirname "$library")
        mkdir -p "$root/usr/${folder#/usr}"
        cp -nL "$library" "$root/usr/${folder#/usr}/"
    done || true
}
for program in "$@"; do
    if [ -d "$program" ]; then
        mkdir -p "$root$program"
        tar -C "$program" --exclude=__pycache__ --exclude=test --exclude=dist-packages -c . | tar -C "$root$program" -x
        find "$root$program" -name '*.so' | while read -r file; do libraries "$file"; done
        continue
    fi
    case $program in
    /*)
        for file in $program; do
            [ -f "$file" ] || continue
            mkdir -p "$root$(dirname "$file")"
            # A link into what is there already stays one.
            if [ -e "$root$(readlink -f "$file")" ]; then cp -a "$file" "$root$file"; else cp -L "$file" "$root$file"; fi
            libraries "$file"
        done
        continue
        ;;
    esac
    file=$(command -v "/usr/bin/$program" || command -v "/bin/$program") || continue
    cp -L "$file" "$root/usr/bin/$program"
    libraries "$file"
done
for modules in /usr/lib/*/perl-base; do
    [ ! -d "$modules" ] || { mkdir -p "$root$modules" && cp -r "$modules/." "$root$modules/"; }
done
tar -C "$root" -c .
