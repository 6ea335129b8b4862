/*
 * offsets_json.c - see offsets_view.h.
 */
#include <inttypes.h>
#include <stdio.h>

#include "relay/base/buf.h"
#include "relay/cli/offsets_view.h"

int64_t view_lag(const struct view_row *row)
{
    const int64_t next = row->entry->position.next;

    if (row->high < 0) {
        return -1;
    }
    return row->high > next ? row->high - next : 0;
}

static void put_text(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "\"%s\":", name);
    buf_json_string(out, text);
}

/* Null where it is not known. */
static void put_number(struct buf *out, const char *name, int64_t number)
{
    if (number < 0) {
        buf_printf(out, ",\"%s\":null", name);
    } else {
        buf_printf(out, ",\"%s\":%" PRId64, name, number);
    }
}

static void put_lane(struct buf *out, const struct state *lane)
{
    const struct claim *c = &lane->claim;

    buf_printf(out, "{\"lane\":%d,\"owner\":", (int)lane->lane);
    if (!lane->has_claim) {
        buf_printf(out, "null");
    } else {
        buf_printf(out, "{");
        put_text(out, "host", c->host);
        buf_printf(out, ",\"pid\":%" PRId64 ",\"since\":%" PRId64 ",", c->pid,
                   c->started_ms);
        put_text(out, "version", c->version);
        buf_printf(out, ",\"command\":");
        if (c->command[0] != '\0') {
            buf_json_string(out, c->command);
        } else {
            buf_printf(out, "null");
        }
        buf_printf(out, ",\"released\":%s}", c->released ? "true" : "false");
    }
    if (lane->is_rescaled) {
        buf_printf(out, ",\"rescaled\":{\"generation\":%d,\"lanes\":%d}}",
                   lane->rescaled.generation, (int)lane->rescaled.lanes);
    } else {
        buf_printf(out, ",\"rescaled\":null}");
    }
}

static void put_halt(struct buf *out, const struct halt *h)
{
    if (h->reason[0] == '\0') {
        buf_printf(out, ",\"state\":\"ok\",\"halted\":null");
        return;
    }
    buf_printf(out, ",\"state\":\"halted\",\"halted\":{");
    put_text(out, "reason", h->reason);
    buf_printf(out, ",\"since\":%" PRId64 ",", h->since_ms);
    put_text(out, "detail", h->detail);
    buf_printf(out, "}");
}

static void put_lost(struct buf *out, const struct position *p)
{
    buf_printf(out, ",\"lost\":[");
    for (size_t i = 0; i < p->lost_count; i++) {
        const struct lost *l = &p->lost[i];
        buf_printf(out, "%s{\"from\":%" PRId64, i > 0 ? "," : "", l->from);
        put_number(out, "to", l->to);
        buf_printf(out, ",");
        put_text(out, "reason", l->reason);
        buf_printf(out, ",\"time\":%" PRId64 "}", l->time_ms);
    }
    buf_printf(out, "]");
}

static void put_moved(struct buf *out, const struct moved *m)
{
    if (m->reason[0] == '\0') {
        buf_printf(out, ",\"moved\":null");
        return;
    }
    buf_printf(out, ",\"moved\":{");
    put_text(out, "reason", m->reason);
    put_number(out, "from", m->from);
    buf_printf(out, ",\"time\":%" PRId64 "}", m->time_ms);
}

static void put_row(struct buf *out, const struct view_row *row)
{
    const struct position *p = &row->entry->position;

    buf_printf(out, "{");
    put_text(out, "topic", row->entry->topic);
    buf_printf(out, ",\"partition\":%d,\"lane\":%d,",
               (int)row->entry->partition, (int)row->lane);
    put_text(out, "target", p->target_topic);
    put_number(out, "next", p->next);
    put_number(out, "log_start", row->low);
    put_number(out, "log_end", row->high);
    put_number(out, "lag", view_lag(row));
    put_number(out, "epoch", p->epoch);
    put_halt(out, &p->halt);
    put_lost(out, p);
    put_moved(out, &p->moved);
    buf_printf(out, "}");
}

void view_print_json(const struct view *v)
{
    const struct identity *id = &v->ledger.at.identity;
    struct buf out = {0};

    buf_printf(&out, "{\"version\":1,");
    put_text(&out, "relay", v->cfg->relay);
    buf_printf(&out, ",");
    put_text(&out, "uuid", id->relay);
    buf_printf(&out, ",");
    put_text(&out, "source", id->source);
    buf_printf(&out, ",\"generation\":%d,\"lanes\":[", v->ledger.at.number);
    for (int32_t k = 0; k < v->ledger.lane_count; k++) {
        buf_printf(&out, "%s", k > 0 ? "," : "");
        put_lane(&out, &v->ledger.lanes[k]);
    }
    buf_printf(&out, "],\"positions\":[");
    for (size_t i = 0; i < v->count; i++) {
        buf_printf(&out, "%s\n", i > 0 ? "," : "");
        put_row(&out, &v->rows[i]);
    }
    buf_printf(&out, "]}\n");
    fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
}
