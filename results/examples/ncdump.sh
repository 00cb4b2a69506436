#!/bin/sh
# ncdump.sh STUDY.nc: a look into it with ncdump and NCO, line by line as one would type it.
set -eu
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

echo "== what was measured, and how it is called"
ncdump -h "$1" | grep -E '^	(double|float) .*quantizer\)'

echo "== the answer: headline, verdicts (flag_meanings says what the numbers mean), effects and their intervals"
ncdump -g analysis -v hypothesis,verdict,effect,effect_low,effect_high "$1" | sed '1,/group attributes/d'

echo "== one number: log KL of the first cell at the end under the first quantizer"
ncks -V -C -H -v log_kl -d cell,0 -d checkpoint,-1 -d quantizer,0 "$1"

echo "== mean log KL of the base recipe's cells at the end, by quantizer"
ncwa -C -v log_kl -a cell,checkpoint -B 'base == 1' -d checkpoint,-1 "$1" "$out/base.nc"
ncks -V -C -H -v log_kl "$out/base.nc"

echo "== only some variables, with a new one, as a file"
ncks -C -v log_kl,parameters "$1" "$out/small.nc"
ncap2 -s 'kl=exp(log_kl)' "$out/small.nc" "$out/kl.nc"
ncdump -h "$out/kl.nc" | grep -E '^	(double|int64) '
