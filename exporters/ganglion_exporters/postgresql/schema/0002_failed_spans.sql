CREATE INDEX spans_failed ON spans (start_time) WHERE status = 'ERROR';
