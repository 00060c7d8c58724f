#!/bin/sh
# scripts/schemas.sh FOLDER: gets the public schemas of SARIF 2.1.0 and of JUnit's XML that the reports are held to. They
# are others', and not for this repository to have; packages on npm and on PyPI bring them. What cannot be had, as
# without a network, is left out after a minute, and is not asked for again: its test says SKIP. Remove FOLDER to ask anew.
set -u
folder=$1
[ ! -e "$folder/asked" ] || exit 0
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
scratch=$(mktemp -d) || exit 0
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 0

# take FILE PATTERN: out of the archive that is here.
take() {
    tar xzf ./*.t*gz && find . -path "*/$2" -exec mv {} "$folder/$1" \; && [ -s "$folder/$1" ] || echo "schemas: no $1"
    rm -rf ./*
}

if command -v npm >/dev/null 2>&1 && timeout 60 npm pack --silent @microsoft/jest-sarif@1.0.0-beta.0 >/dev/null 2>&1; then
    take sarif.json 'lib/schemas/sarif-2.1.0-rtm.5.json'
fi
if command -v pip3 >/dev/null 2>&1 &&
    timeout 60 pip3 download -q --no-deps --no-binary :all: pytest==8.3.3 >/dev/null 2>&1; then
    take junit.xsd 'example_scripts/junit-10.xsd'
fi
touch "$folder/asked"
