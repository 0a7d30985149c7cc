#!/bin/sh
# base.sh: an archive of a small Debian, made of the packages of this machine that every Debian has: what an image is
# built on where none can be had from elsewhere.
set -eu
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/tmp" "$root/proc" "$root/sys" "$root/dev" "$root/root" "$root/var/lib/dpkg/info"
chmod 1777 "$root/tmp"
for folder in bin lib lib64 sbin; do mkdir -p "$root/usr/$folder"; ln -s "usr/$folder" "$root/$folder"; done
# What is essential, and what apt needs, with all that these depend on; and what is depended on under another name.
packages=$(dpkg-query -W -f '${Essential} ${Package}\n' | sed -n 's/^yes //p')
packages="$packages apt base-passwd debian-archive-keyring gpgv"
for package in mawk usrmerge usr-is-merged; do
    [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] && packages="$packages $package"
done
all=
while [ -n "$packages" ]; do
    next=
    for package in $packages; do
        case " $all " in *" $package "*) continue ;; esac
        all="$all $package"
        next="$next $(dpkg-query -W -f '${Pre-Depends}, ${Depends}\n' "$package" | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/:any//; s/ //g')"
    done
    packages=
    for package in $next; do
        [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] && packages="$packages $package"
    done
done
for package in $all; do
    dpkg-query -L "$package" | while read -r path; do
        case $path in /usr/share/doc/* | /usr/share/man/* | /usr/share/locale/* | *' '*) continue ;; esac
        # As packages name it, and as it lies there: /bin is a link to usr/bin.
        if [ -d "$path" ] && [ ! -L "$path" ]; then mkdir -p "$root$path"; elif [ -e "$path" ] || [ -L "$path" ]; then
            mkdir -p "$root$(dirname "$path")"
            cp -a "$path" "$root$path"
        fi
    done
    for info in /var/lib/dpkg/info/"$package".* /var/lib/dpkg/info/"$package":*.*; do
        [ ! -e "$info" ] || cp -a "$info" "$root/var/lib/dpkg/info/"
    done
done
# The entries of these packages alone.
awk -v all="$all " 'BEGIN { RS = ""; ORS = "\n\n" } { split($1 " " $2, word, " "); if (index(all, " " word[2] " ")) print }' \
    /var/lib/dpkg/status >"$root/var/lib/dpkg/status"
cp -a /var/lib/dpkg/info/format "$root/var/lib/dpkg/info/" 2>/dev/null || true
cp -a /var/lib/dpkg/arch "$root/var/lib/dpkg/" 2>/dev/null || true
mkdir -p "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/alternatives" "$root/var/lib/dpkg/triggers" "$root/var/cache/apt/archives/partial" \
    "$root/var/lib/apt/lists/partial" "$root/var/log/apt" "$root/etc/apt/apt.conf.d" "$root/etc/apt/preferences.d" \
    "$root/etc/alternatives" "$root/run" "$root/var/tmp"
for file in passwd group shadow gshadow debian_version os-release; do cp -aL "/etc/$file" "$root/etc/" 2>/dev/null || true; done
for link in awk; do cp -a "/etc/alternatives/$link" "$root/etc/alternatives/"; cp -a "/usr/bin/$link" "$root/usr/bin/$link"; done
# Where this machine has its packages from.
cp -a /etc/apt/sources.list /etc/apt/sources.list.d "$root/etc/apt/" 2>/dev/null || true
cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
ldconfig -r "$root"
tar -C "$root" -c .
