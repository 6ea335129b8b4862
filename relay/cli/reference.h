/*
 * reference.h - the page of all settings, from the tables that parse them.
 * docs/config.md is this page as Markdown; tests/unit/test_docs.c compares.
 */
#ifndef RELAY_CLI_REFERENCE_H
#define RELAY_CLI_REFERENCE_H

#include <stdio.h>

enum reference_style { REFERENCE_TEXT, REFERENCE_MARKDOWN };

void reference_print(FILE *out, enum reference_style style);

#endif
