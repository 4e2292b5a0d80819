-- A revision stays what it was published as: the tenant's role decides once about one that waits, and dates none.

-- When a revision was published tells retention what may go, so the time is the database's. Who is not the tenant's
-- role is the administrator: nobody else sees a row here.
CREATE FUNCTION {tenant}.keep_revision() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF current_user <> tg_table_schema THEN RETURN NEW; END IF;
    IF tg_op = 'UPDATE' AND OLD.state = NEW.state THEN
        NEW.published_at := OLD.published_at;
    ELSIF tg_op = 'UPDATE' AND OLD.state <> 'quarantined' THEN
        RAISE EXCEPTION 'a revision that is % stays so', OLD.state USING ERRCODE = 'insufficient_privilege';
    ELSE
        NEW.published_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION {tenant}.keep_revision() FROM PUBLIC;
CREATE TRIGGER revision_stays BEFORE INSERT OR UPDATE ON {tenant}.revision
    FOR EACH ROW EXECUTE FUNCTION {tenant}.keep_revision();
REVOKE UPDATE (published_at) ON {tenant}.revision FROM {tenant};
