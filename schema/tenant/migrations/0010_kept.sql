-- Revisions are kept for a year, whoever asks: what the setting promises, the schema holds itself. Before it was 30
-- days. Row security says it again, a day less, as the clock moves on in a transaction.
DO $$
DECLARE
    called text := format('current_setting(''role'') = %L', trim('{tenant}', '"'));
    old text := 'published_at < clock_timestamp() - interval ''364 days''';
BEGIN
    EXECUTE format('ALTER POLICY retention ON {tenant}.revision USING (%s AND state <> ''quarantined'' AND %s)',
                   called, old);
    EXECUTE format('ALTER POLICY retention ON {tenant}.feed USING (%s AND %s)', called, old);
END
$$;

CREATE OR REPLACE FUNCTION {tenant}.forget_revisions(keep_days integer)
RETURNS TABLE (oldest bigint, revisions bigint, feed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    kept_since timestamptz := clock_timestamp() - keep_days * interval '1 day';
BEGIN
    IF keep_days IS NULL OR keep_days < 365 THEN
        RAISE EXCEPTION 'revisions are kept for 365 days at least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT coalesce(min(r.revision) FILTER (WHERE r.published_at >= kept_since), max(r.revision)) INTO oldest
    FROM {tenant}.revision r WHERE r.state = 'published';
    DELETE FROM {tenant}.feed f WHERE f.revision < oldest;
    GET DIAGNOSTICS feed = ROW_COUNT;
    DELETE FROM {tenant}.revision r WHERE r.revision < oldest AND r.state <> 'quarantined';
    GET DIAGNOSTICS revisions = ROW_COUNT;
    RETURN NEXT;
END
$$;
