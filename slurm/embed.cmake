# Scripts as C text: cmake -Dout=FILE -Dfrom=FOLDER -Dfiles="batch.sh.in;preflight.sh" -P embed.cmake writes a header
# with one NUL-terminated array per file, named after it (batch_sh_in), so that the program needs no files
# of its own where it runs.
set(text "/* Written by slurm/embed.cmake. */\n")
foreach(file ${files})
  string(MAKE_C_IDENTIFIER ${file} name)
  file(READ ${from}/${file} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  string(APPEND text "static const unsigned char embedded_${name}[] = {\n${bytes}0x00};\n")
endforeach()
file(WRITE ${out} "${text}")
