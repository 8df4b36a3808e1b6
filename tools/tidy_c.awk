# SPDX-License-Identifier: Apache-2.0
#
# The checks of one C file, line by line, for tools/tidy. The first input is
# ROOMS; the others are C files. Prints "file:line: what is wrong".
# Lines "LONG file:line name lines" report functions above the good length.

function bad(what) { print FILENAME ":" FNR ": " what }

# The folder under src/ that the file is in, or "".
function room_of(file,   parts) {
    sub(/^\.\//, "", file)
    return split(file, parts, "/") >= 3 && parts[1] == "src" ? parts[2] : ""
}

# Drops comments and the inside of strings; `in_comment` is kept across lines.
function code_of(line,   out, c, two, i, n) {
    if (!in_comment && line !~ /["'\/]/)
        return line
    out = ""
    n = length(line)
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; i++ }
        } else if (two == "/*") {
            in_comment = 1; i++
        } else if (two == "//") {
            bad("`//` comment: use /* */")
            return out
        } else if (c == "\"" || c == "'") {
            i = end_of_literal(line, i, c)
            out = out c c
        } else {
            out = out c
        }
    }
    return out
}

function end_of_literal(line, i, quote,   n) {
    n = length(line)
    for (i++; i <= n; i++) {
        if (substr(line, i, 1) == "\\")
            i++
        else if (substr(line, i, 1) == quote)
            break
    }
    return i
}

# A header of another room is its door, and the door is on the room's list. Two
# tables belong to their room's door. Tests (and *_testing.h, which they share)
# may open every door: they are not part of what is shipped.
function check_include(path,   parts, other, is_test) {
    other = substr(path, 1, index(path, "/") - 1)
    is_test = FILENAME ~ /_(test|testing)\.[ch]$/ || room == ""
    if (path == "base" "/" substr(path, 6) || other == "" || other == room || !(other in allowed))
        return
    if (path in parts_of_doors || (is_test && path ~ /_testing\.h$/))
        path = other "/" other ".h"
    if (path != other "/" other ".h")
        bad("includes " path ", the inside of another room: use " other "/" other ".h")
    else if (!is_test && !index(allowed[room], " " other " "))
        bad("room " room " may not use room " other " (see ROOMS)")
}

function check_line(code,   name) {
    if (code ~ /^#[ \t]*include[ \t]*[<"]llvm-c\// && room != "compile" && room != "")
        bad("only the room compile knows LLVM")
    if (code !~ /^#/ && match(code, banned)) {
        name = substr(code, RSTART, RLENGTH)
        gsub(/[^a-z]/, "", name)
        bad("banned call: " name)
    }
    if (room != "faaslet" && FILENAME !~ /^(guest|tests\/(sdk|threads))\// &&
        code ~ /(^|[^a-zA-Z0-9_])(sig)?(setjmp|longjmp)[ \t]*\(/)
        bad("setjmp and longjmp belong to the trap return in faaslet alone")
    if (in_function && is_variable_array(code))
        bad("array whose length is not a constant")
}

# `type name[length];` where the length has a small letter: constants have none.
function is_variable_array(code,   length_of) {
    if (code !~ /^[ \t]+([a-z0-9_]+ )+\**[a-z0-9_]+\[[^\]]+\](\[[^\]]+\])*;$/)
        return 0
    if (code ~ /^[ \t]+(return|goto|else|extern|case) / || code ~ /sizeof/)
        return 0
    length_of = code
    sub(/^[^\[]*\[/, "", length_of)
    gsub(/[0-9][0-9a-fA-FxuUlL]*/, "", length_of)
    return length_of ~ /[a-z]/
}

# With the name at the start of its own line a function runs from that line to
# the first `}` in column 1.
function check_function(line) {
    if (line ~ /^[a-z_A-Z][a-zA-Z0-9_]*\(/) {
        name_line = FNR
        function_name = line
        sub(/\(.*/, "", function_name)
    }
    if (line ~ /^\{/ && name_line > 0)
        in_function = 1
    if (line ~ /^}/ && in_function) {
        lines = FNR - name_line + 1
        if (lines > 70)
            bad("function " function_name " has " lines " lines: 70 is the end")
        else if (lines > 40)
            print "LONG " FILENAME ":" name_line " " function_name " " lines
        in_function = 0
        name_line = 0
    }
}

function finish_file() {
    if (file == "")
        return
    if (file_lines > 1000 && file != "guest/mpi/mpi.h") # its functions are the standard's
        print file ":" file_lines ": file has " file_lines " lines: 1000 is the end"
    if (is_door && file_lines > 400)
        print file ":" file_lines ": door has " file_lines " lines: 400 is the end"
    if (is_header && guard == "")
        print file ":1: header without an include guard"
}

BEGIN {
    parts_of_doors["wasm/opcodes.def"]
    parts_of_doors["abi/abi_offsets.h"]
    banned = "(^|[^a-zA-Z0-9_>.])" \
             "(strcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|system|rand|srand)[ \t]*\\("
}

NR == FNR {
    if ($0 !~ /^[a-z]+:/)
        next
    name = $1
    sub(/:$/, "", name)
    for (i = 2; i <= NF; i++)
        if (!($i in allowed))
            bad("room " name " uses " $i ", which is not below it")
    $1 = ""
    allowed[name] = $0 " "
    next
}

FNR == 1 {
    finish_file()
    file = FILENAME
    room = room_of(FILENAME)
    in_comment = in_function = name_line = 0
    guard = ""
    is_header = FILENAME ~ /\.h$/
    is_door = FILENAME ~ ("src/" room "/" room "\\.h$") || (is_header && room == "base")
    if (room != "" && !(room in allowed))
        bad("room " room " is not in ROOMS")
    if ($0 !~ /SPDX-License-Identifier: /)
        bad("first line without SPDX-License-Identifier")
}

{
    file_lines = FNR
    if (is_header && $1 == "#ifndef" && guard == "" && in_comment == 0)
        guard = $2
    if ($0 ~ /\t/)
        bad("tab: indent with spaces")
    code = code_of($0)
    if ($0 ~ /^#[ \t]*include "/) {
        path = $0
        sub(/^[^"]*"/, "", path)
        sub(/".*/, "", path)
        check_include(path)
    }
    check_line(code)
    check_function(code)
}

END { finish_file() }
