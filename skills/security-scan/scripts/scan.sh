#!/bin/sh
# Lists places in a directory that are worth reading for their security, and runs the scanners that are installed.
# Changes nothing. Usage: scan.sh [DIR]. Ends with 0 whether there are candidates or not, with 2 for wrong usage.
dir=${1:-.}
case $dir in -*) echo "usage: scan.sh [DIR]" >&2; exit 2 ;; esac
cd -- "$dir" 2>/dev/null || { echo "scan.sh: $dir is no directory" >&2; exit 2; }

# files: what git knows or would add; else all but the usual heaps.
files() {
    git ls-files -z -co --exclude-standard 2>/dev/null ||
        find . \( -name .git -o -name node_modules -o -name target -o -name vendor \) -prune -o -type f -print0
}

# look KIND PATTERN: lines that match, with the kind, cut to 200 characters and without whole secrets.
look() {
    files | xargs -0 grep -InE -e "$2" -- /dev/null 2>/dev/null | head -n "${MOST:-40}" |
        sed -E "s|^([^:]*:[0-9]+):[[:space:]]*|\1: $1: |; s/(sk-|ghp_|gho_|AKIA|xox[bp]-|eyJ)([A-Za-z0-9_-]{4})[A-Za-z0-9_.-]{6,}/\1\2…/g" | cut -c1-200
}

echo "== candidates (places to read, not findings)"
look secret '(sk-[A-Za-z0-9_-]{20,}|gh[po]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|xox[bp]-[0-9A-Za-z-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY-----)'
look secret '(password|passwd|secret|api_?key|token)["'"'"']?[[:space:]]*[:=][[:space:]]*["'"'"'][^"'"'"'$<{]{8,}["'"'"']'
look shell '(os\.system|subprocess\.[a-zA-Z_]+\(.*shell *= *True|child_process|exec(Sync)?\(|Runtime\.getRuntime\(\)\.exec|shell_exec|popen\(|"(ba)?sh", *"-c")'
look eval '(^|[^a-zA-Z_.])(eval|exec)\(|new Function\(|pickle\.loads?|yaml\.load\(|unserialize\(|ObjectInputStream|Marshal\.load'
look query '(execute|query|raw)\([^)]*(\+ *[a-zA-Z_]|%s.*% |\$\{|f"|format!\()'
look path '(\.\./|\.\.\\)|sendFile\(|extractall\(|ZipFile\('
look tls '(verify *= *False|InsecureSkipVerify|rejectUnauthorized: *false|danger_accept_invalid_certs|CURLOPT_SSL_VERIFYPEER, *(0|false))'
look hash '(md5|sha1)\(|DES|ECB|Math\.random\(\).*(token|key|pass)|random\.(random|randint)\(.*(token|key|pass)'
look memory '(^|[^a-zA-Z_])(unsafe \{|strcpy\(|sprintf\(|gets\(|memcpy\()'
look build '(curl|wget)[^|]*\|[[:space:]]*(sudo )?(ba|z)?sh|uses: [^@ ]+@(main|master|v[0-9]+)[[:space:]]*$|"(pre|post)install":'

echo "== scanners"
ran() { echo "-- $1"; shift; "$@" 2>&1 | head -n 120; }
skip() { echo "-- $1: not run ($2)"; }
have() { command -v "$1" >/dev/null 2>&1; }
if have gitleaks; then ran gitleaks gitleaks detect --no-banner --redact --exit-code 0; else skip gitleaks "not installed"; fi
if have semgrep; then ran semgrep semgrep scan --quiet --metrics=off --config auto; else skip semgrep "not installed"; fi
if have osv-scanner; then ran osv-scanner osv-scanner scan -r .; else skip osv-scanner "not installed"; fi
if [ -f Cargo.lock ]; then if have cargo-audit; then ran cargo-audit cargo audit; else skip cargo-audit "not installed"; fi; fi
if [ -f package-lock.json ]; then if have npm; then ran npm npm audit --omit=dev; else skip npm "not installed"; fi; fi
if [ -f requirements.txt ] || [ -f pyproject.toml ]; then if have pip-audit; then ran pip-audit pip-audit; else skip pip-audit "not installed"; fi; fi
if [ -f go.mod ]; then if have govulncheck; then ran govulncheck govulncheck ./...; else skip govulncheck "not installed"; fi; fi
exit 0
