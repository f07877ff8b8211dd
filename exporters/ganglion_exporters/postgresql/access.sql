-- Who may read: applied as a whole, in one transaction, with the exporter's schema in search_path.

-- The trace that `ganglion.trace` names, if tenants are named in it and all of them are among `ganglion.tenants`.
CREATE OR REPLACE FUNCTION ganglion_own_trace() RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT named.id FROM (SELECT nullif(current_setting('ganglion.trace', true), '')::uuid AS id) AS named
    WHERE named.id IS NOT NULL AND (
        SELECT bool_and(told.tenant_id = ANY (nullif(current_setting('ganglion.tenants', true), '')::text[])) FROM (
            SELECT s.tenant_id FROM spans s WHERE s.trace_id = named.id AND s.tenant_id IS NOT NULL
            UNION ALL
            SELECT l.tenant_id FROM logs l WHERE l.trace_id = named.id AND l.tenant_id IS NOT NULL) AS told);
END;

-- The resources of the tenants' spans: those of the trace that `ganglion.trace` names, else those of the last day.
CREATE OR REPLACE FUNCTION ganglion_own_resources() RETURNS SETOF bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT DISTINCT s.resource_id FROM spans s
    WHERE s.trace_id = nullif(current_setting('ganglion.trace', true), '')::uuid
        AND (s.tenant_id = ANY (nullif(current_setting('ganglion.tenants', true), '')::text[])
            OR s.tenant_id IS NULL AND s.trace_id = (SELECT ganglion_own_trace()))
    UNION
    SELECT DISTINCT s.resource_id FROM spans s
    WHERE nullif(current_setting('ganglion.trace', true), '') IS NULL
        AND s.tenant_id = ANY (nullif(current_setting('ganglion.tenants', true), '')::text[])
        AND s.start_time > now() - interval '1 day' AND s.start_time < now() + interval '1 day';
END;

-- Where those of the tenants' logs lie that have `words`, from `since` on and before `until`; NULL is no bound.
-- Under a policy PostgreSQL does not use the index on words, as it trusts no text search to run first. It plans this
-- anew each time, as it plans a statement with these words and times in it. One index is to be used at a time: of time
-- and words together it would look for the words in every row of the time, and not only in those of the tenants.
CREATE OR REPLACE FUNCTION ganglion_own_logs(words text, since timestamptz, until timestamptz)
    RETURNS TABLE ("time" timestamptz, place tid)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path FROM CURRENT SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    tenants text[] := nullif(current_setting('ganglion.tenants', true), '');
    query tsquery := websearch_to_tsquery('simple', words);
BEGIN
    since := coalesce(since, '-infinity');
    until := coalesce(until, 'infinity');
    IF until <= since + interval '15 minutes' THEN
        RETURN QUERY SELECT l.timestamp, l.ctid FROM logs l
        WHERE l.tenant_id = ANY (tenants) AND l.timestamp >= since AND l.timestamp < until
            AND (log_words(l.message, l.error, l.stack_trace) @@ query) IS TRUE;
    ELSE
        RETURN QUERY SELECT l.timestamp, l.ctid FROM logs l
        WHERE l.tenant_id = ANY (tenants) AND log_words(l.message, l.error, l.stack_trace) @@ query
            AND l.timestamp >= date_trunc('day', since, 'UTC')
            AND l.timestamp < date_trunc('day', until, 'UTC') + interval '1 day'
            AND (l.timestamp >= since AND l.timestamp < until) IS TRUE;
    END IF;
END $$;

REVOKE ALL ON FUNCTION ganglion_own_trace(), ganglion_own_resources(), ganglion_own_logs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ganglion_own_trace(), ganglion_own_resources(), ganglion_own_logs TO ganglion_tenant_reader;

-- Not forced: the owner writes, and COPY does not work under policies.
ALTER TABLE logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE spans ENABLE ROW LEVEL SECURITY;
ALTER TABLE resources ENABLE ROW LEVEL SECURITY;

-- Everybody else goes on with what was granted to them.
DROP POLICY IF EXISTS ganglion_granted ON logs;
DROP POLICY IF EXISTS ganglion_granted ON spans;
DROP POLICY IF EXISTS ganglion_granted ON resources;
CREATE POLICY ganglion_granted ON logs TO PUBLIC USING (true) WITH CHECK (true);
CREATE POLICY ganglion_granted ON spans TO PUBLIC USING (true) WITH CHECK (true);
CREATE POLICY ganglion_granted ON resources TO PUBLIC USING (true) WITH CHECK (true);

-- The parts in brackets are worked out once for a statement, not for each row. Without the settings nothing is seen.
DROP POLICY IF EXISTS ganglion_own ON logs;
DROP POLICY IF EXISTS ganglion_own ON spans;
DROP POLICY IF EXISTS ganglion_own ON resources;
CREATE POLICY ganglion_own ON logs AS RESTRICTIVE TO ganglion_tenant_reader USING (
    tenant_id = ANY ((SELECT nullif(current_setting('ganglion.tenants', true), '')::text[])::text[])
    OR tenant_id IS NULL AND trace_id = (SELECT ganglion_own_trace()));
CREATE POLICY ganglion_own ON spans AS RESTRICTIVE TO ganglion_tenant_reader USING (
    tenant_id = ANY ((SELECT nullif(current_setting('ganglion.tenants', true), '')::text[])::text[])
    OR tenant_id IS NULL AND trace_id = (SELECT ganglion_own_trace()));
CREATE POLICY ganglion_own ON resources AS RESTRICTIVE TO ganglion_tenant_reader USING (
    id = ANY (ARRAY(SELECT ganglion_own_resources())));

GRANT SELECT ON logs, spans, resources TO ganglion_reader, ganglion_tenant_reader;
