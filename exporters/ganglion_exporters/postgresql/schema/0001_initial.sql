CREATE TABLE ganglion_positions (
    journal uuid NOT NULL,
    reader text NOT NULL,
    sequence bigint NOT NULL,
    item integer NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (journal, reader)
) WITH (fillfactor = 10);
COMMENT ON TABLE ganglion_positions IS 'Up to where each reader of each journal has stored its records here; moved in the transaction that stores them.';

CREATE TABLE resources (
    id bigint PRIMARY KEY,
    service_name text,
    attributes jsonb NOT NULL,
    schema_url text,
    first_seen timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE resources IS 'Who sent logs and spans; id is a hash of attributes and schema_url.';

CREATE TABLE logs (
    timestamp timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    resource_id bigint NOT NULL,
    duration_ms double precision,
    cost_usd double precision,
    trace_id uuid,
    level text NOT NULL,
    logger text,
    message text NOT NULL,
    span_id text,
    parent_span_id text,
    request_id text,
    user_id text,
    session_id text,
    tenant_id text,
    error text,
    stack_trace text,
    environment text,
    version text,
    host text,
    service_name text,
    context jsonb,
    metrics jsonb
) PARTITION BY RANGE (timestamp);
COMMENT ON TABLE logs IS 'One row for each OTLP log record, in a partition for its UTC day.';

CREATE TABLE spans (
    start_time timestamptz NOT NULL,
    end_time timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    duration_ms double precision,
    resource_id bigint NOT NULL,
    flags bigint NOT NULL,
    trace_id uuid NOT NULL,
    span_id text NOT NULL,
    parent_span_id text,
    name text NOT NULL,
    kind text NOT NULL,
    service_name text,
    status text NOT NULL,
    status_message text,
    trace_state text,
    scope_name text,
    scope_version text,
    user_id text,
    session_id text,
    tenant_id text,
    request_id text,
    attributes jsonb,
    events jsonb,
    links jsonb,
    scope jsonb,
    PRIMARY KEY (trace_id, span_id, start_time)
) PARTITION BY RANGE (start_time);
COMMENT ON TABLE spans IS 'One row for each OTLP span, in a partition for the UTC day it started; a span sent again is not stored again.';

-- Never fails: a tsvector holds 1 MiB, and 50,000 characters make less than that in any language.
CREATE FUNCTION log_words(message text, error text, stack_trace text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('simple'::regconfig, "left"(message || ' ' || COALESCE(error, '') || ' ' || COALESCE(stack_trace, ''), 50000));
COMMENT ON FUNCTION log_words IS 'What full-text search sees of a log: log_words(message, error, stack_trace) @@ websearch_to_tsquery(''simple'', ...).';

CREATE INDEX logs_timestamp ON logs USING brin (timestamp) WITH (pages_per_range = 32);
CREATE INDEX logs_trace_id ON logs (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX logs_user_id ON logs (user_id, timestamp) WHERE user_id IS NOT NULL;
CREATE INDEX logs_request_id ON logs (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX logs_level ON logs (level, timestamp) WHERE level IN ('ERROR', 'CRITICAL');
CREATE INDEX logs_words ON logs USING gin (log_words(message, error, stack_trace));

CREATE INDEX spans_start_time ON spans USING brin (start_time) WITH (pages_per_range = 32);
CREATE INDEX spans_user_id ON spans (user_id, start_time) WHERE user_id IS NOT NULL;
CREATE INDEX spans_slow ON spans (duration_ms) WHERE duration_ms >= 100;
