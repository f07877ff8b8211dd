-- A service's operations, and the durations of one operation in a time.
CREATE INDEX spans_operation ON spans (service_name, name, start_time);
-- What was stored since a moment, whatever time it tells of itself.
CREATE INDEX logs_created_at ON logs USING brin (created_at) WITH (pages_per_range = 32);
CREATE INDEX logs_costs ON logs (timestamp) WHERE cost_usd IS NOT NULL;
CREATE INDEX logs_scores ON logs (timestamp) WHERE message = 'ragas_score_computed';
-- With the time each entry differs and takes 62 bytes, without it 7: the time is bounded by partitions.
DROP INDEX logs_user_id;
CREATE INDEX logs_user_id ON logs (user_id) WHERE user_id IS NOT NULL;
DROP INDEX spans_user_id;
CREATE INDEX spans_user_id ON spans (user_id) WHERE user_id IS NOT NULL;
