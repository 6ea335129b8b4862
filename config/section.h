/*
 * section.h - reads one map of the tree into a struct, by its table.
 * One thread.
 */
#ifndef CONFIG_SECTION_H
#define CONFIG_SECTION_H

#include <stdbool.h>

#include "config/node.h"
#include "config/sections.h"

enum { SHOWN_BYTES = 80 };

/* What a message calls a value: "text", cut when it is long; or where it came
 * from when it was substituted, for it may be a secret. */
void section_show(const struct node *value, char shown[SHOWN_BYTES]);

/* Sets the defaults of `s` in *out, then every setting that the map has.
 * `node` may be NULL (the section is not there); `where` names the section in
 * messages, as in "topics[0]". Skips OPT_PATTERNS and nested sections: their
 * keys are known, but read by the caller. */
void section_read(const struct section *s, const char *where,
                  const struct node *node, void *out, struct problems *p);

/* The same for one scalar. */
void section_set(const struct option *opt, const char *where,
                 const struct node *value, void *out, struct problems *p);

/* False, with a problem, when `node` has not this kind. */
bool section_expect(const struct node *node, enum node_kind kind,
                    const char *what, struct problems *p) MUST_CHECK;

/* An unknown key: of a later version, of another section, or mistyped. */
void section_unknown(const struct section *s, const char *where,
                     const struct node *entry, struct problems *p);

#endif
