# Sourced by the other scripts: goes to the project's folder and sees that bun and the packages of
# package-lock.json are there. Sets BUN. Says nothing when there is nothing to do.

cd "$(dirname "$0")/.." || exit 1
ROOT=$(pwd)
BUN=$ROOT/node_modules/.bin/bun
STAMP=node_modules/.sluice-lock

fail() {
  echo "scripts/${0##*/}: $*" >&2
  exit 1
}

install_packages() {
  command -v npm >/dev/null 2>&1 ||
    fail "npm is missing: install Node.js with npm (Debian: apt-get install npm), then run this again."
  # Not "npm ci": it demands that the lock names the optional packages of every other platform.
  log=$(npm install --no-save --no-audit --no-fund --loglevel=error 2>&1) || {
    echo "$log" >&2
    fail "npm install failed (its messages are above)."
  }
  [ -x "$BUN" ] && "$BUN" --version >/dev/null 2>&1 ||
    fail "npm brought no bun that runs on this machine ($(uname -s) $(uname -m))."
  cp package-lock.json "$STAMP"
}

[ -x "$BUN" ] && cmp -s package-lock.json "$STAMP" || install_packages
