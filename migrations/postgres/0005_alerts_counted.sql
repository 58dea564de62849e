-- Alerts are counted once for each statement that inserts some, and not each by itself.
DROP TRIGGER alert_is_counted ON alert;

CREATE OR REPLACE FUNCTION nightrun_counts_alert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger (contract, night, counter, alerts)
    SELECT contract, night, current_setting('application_name'), count(*) FROM raised
    GROUP BY contract, night ORDER BY contract, night
    ON CONFLICT (contract, night, counter) DO UPDATE SET alerts = ledger.alerts + excluded.alerts;
    RETURN NULL;
END $$;

CREATE TRIGGER alert_is_counted AFTER INSERT ON alert
REFERENCING NEW TABLE AS raised
FOR EACH STATEMENT EXECUTE FUNCTION nightrun_counts_alert();
