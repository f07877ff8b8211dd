export interface Period {
  since: string;
  until: string;
}
export interface Spent {
  usd: number;
  is_computed: boolean;
  table_date: string | null;
}
export interface Tokens {
  input: number;
  output: number;
  total: number;
}
export type Values = Record<string, unknown>;

export interface LogRow {
  timestamp: string;
  level: string | null;
  logger: string | null;
  message: string | null;
  trace_id: string | null;
  span_id: string | null;
  parent_span_id: string | null;
  request_id: string | null;
  user_id: string | null;
  session_id: string | null;
  tenant_id: string | null;
  context: Values;
  metrics: Values;
  duration_ms: number | null;
  cost_usd: number | null;
  error: string | null;
  stack_trace: string | null;
  environment: string | null;
  version: string | null;
  host: string | null;
  service_name: string | null;
}

export interface SpanRow {
  trace_id: string;
  span_id: string;
  parent_span_id: string | null;
  name: string | null;
  kind: string | null;
  service_name: string | null;
  start_time: string;
  end_time: string | null;
  duration_ms: number | null;
  status: string | null;
  status_message: string | null;
  attributes: Values;
  events: Values[];
  links: Values[];
  user_id: string | null;
  session_id: string | null;
  tenant_id: string | null;
  request_id: string | null;
  scope_name: string | null;
  scope_version: string | null;
  resource: Values;
  cost: Spent | null;
}

export interface SpanEvent {
  name: string;
  timestamp: string;
  attributes: Values;
}

export interface SpanNode {
  span_id: string;
  parent_span_id: string | null;
  depth: number;
  children: number;
  orphaned: boolean;
  name: string;
  kind: string;
  service_name: string | null;
  start_time: string;
  offset_ms: number;
  duration_ms: number | null;
  self_time_ms: number;
  critical_ms: number;
  status: string;
  status_message: string | null;
  layer: string | null;
  model: string | null;
  tokens: Tokens | null;
  cost: Spent | null;
  events: SpanEvent[];
  has_messages: boolean;
}

export interface CriticalStep {
  span_id: string;
  name: string;
  service_name: string | null;
  offset_ms: number;
  duration_ms: number;
}

export interface TraceAnswer {
  trace_id: string;
  start_time: string;
  duration_ms: number;
  root_name: string | null;
  services: string[];
  failed_spans: number;
  spans: SpanNode[];
  logs: LogRow[];
  critical_path: CriticalStep[];
  truncated: boolean;
  tokens: Tokens | null;
  cost: Spent | null;
  user_id: string | null;
  session_id: string | null;
  tenant_id: string | null;
  request_id: string | null;
  langsmith_url: string | null;
  langsmith_note: string | null;
}

export interface Message {
  role: string;
  content: string;
}

export interface SpanDetail {
  span: SpanRow;
  node: SpanNode;
  prompt: Message[];
  completion: Message[];
  logs: LogRow[];
}

export interface Baseline {
  count: number;
  error_rate: number;
  p50_ms: number;
  p95_ms: number;
  p99_ms: number;
}

export interface SpanComparison {
  span_id: string;
  name: string;
  service_name: string | null;
  duration_ms: number;
  self_time_ms: number;
  critical_ms: number;
  baseline: Baseline | null;
  times_usual: number | null;
  excess_ms: number;
  unusual: boolean;
}

export interface MissingSpan {
  why: "parent" | "log" | "usual";
  span_id: string | null;
  name: string | null;
  service_name: string | null;
  share: number | null;
}

export interface Finding {
  kind: "error" | "slow" | "missing" | "log" | "repeated" | "waiting";
  weight: number;
  title: string;
  detail: string;
  span_id: string | null;
  timestamp: string | null;
}

export interface Explanation {
  trace_id: string;
  outcome: "failed" | "slow" | "normal" | "unknown";
  verdict: string;
  duration_ms: number;
  findings: Finding[];
  first_error: Finding | null;
  spans: SpanComparison[];
  critical_path: CriticalStep[];
  missing: MissingSpan[];
  logs: LogRow[];
  baseline_since: string;
  truncated: boolean;
}

export interface TraceSummary {
  trace_id: string;
  start_time: string;
  duration_ms: number;
  root_service: string | null;
  root_name: string | null;
  status: string;
  span_count: number;
  error_count: number;
  log_count: number;
  services: Record<string, number>;
  user_id: string | null;
  tenant_id: string | null;
  cost: Spent | null;
  total_tokens: number | null;
  first_error: string | null;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}
export type TracePage = Page<TraceSummary>;
export type LogPage = Page<LogRow>;

export interface ErrorRow {
  timestamp: string;
  kind: string;
  level: string | null;
  service_name: string | null;
  user_id: string | null;
  trace_id: string | null;
  span_id: string | null;
  source: string | null;
  message: string | null;
  error: string | null;
}
export type ErrorPage = Page<ErrorRow>;

export interface Share {
  attribute: string;
  value: string;
  among_errors: number;
  among_all: number;
}

export interface ErrorGroup {
  fingerprint: string;
  error: string;
  origin: string | null;
  count: number;
  before: number;
  trend: "new" | "rising" | "steady" | "falling";
  first_seen: string;
  last_seen: string;
  requests: number;
  users: number;
  services: Record<string, number>;
  common: Share[];
  trace_ids: string[];
}

export interface ErrorGroups {
  period: Period;
  verdict: string;
  requests: number;
  errors: number;
  groups: ErrorGroup[];
  truncated: boolean;
}

export interface Change {
  kind: "service" | "version" | "model" | "error" | "error_rate" | "latency" | "volume" | "log";
  subject: string;
  summary: string;
  unit: "count" | "ms" | "share";
  before: number;
  after: number;
  effect: number;
  z: number;
  first_seen: string | null;
  trace_id: string | null;
}

export interface Changes {
  at: string;
  before: Period;
  after: Period;
  requests_before: number;
  requests_after: number;
  changes: Change[];
}

export interface Estimate {
  value: number;
  low: number | null;
  high: number | null;
  count: number;
}

export interface ValueGroup {
  value: string;
  requests: number;
  p50_ms: Estimate | null;
  p95_ms: Estimate | null;
  error_rate: Estimate;
  cost_usd: Estimate | null;
  scores: Record<string, Estimate>;
  first_seen: string;
  last_seen: string;
  trace_id: string | null;
}

export interface Comparison {
  attribute: string;
  period: Period;
  verdict: string;
  groups: ValueGroup[];
  without: number;
  others: number;
  truncated: boolean;
}

export type CostBy = "user" | "tenant" | "model" | "layer" | "service" | "trace";

export interface CostGroup {
  name: string | null;
  usd: number;
  is_computed: boolean;
  calls: number;
  requests: number;
  tokens: number;
  last_seen: string;
}

export interface Costs {
  by: CostBy;
  period: Period;
  usd: number;
  is_computed: boolean;
  tokens: number;
  groups: CostGroup[];
  others: number;
}

export type State = "healthy" | "degraded" | "failing" | "unknown";

export interface Part {
  name: string;
  state: State;
  detail: string;
}

export interface ServiceHealth {
  service: string;
  state: State;
  reason: string;
  requests: number;
  error_rate: number;
  usual_error_rate: number | null;
  p95_ms: number | null;
  usual_p95_ms: number | null;
  last_seen: string;
}

export interface Health {
  state: State;
  verdict: string;
  checked_at: string;
  parts: Part[];
  services: ServiceHealth[];
}

export interface Point {
  time: string;
  requests: number;
  errors: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  cost_usd: number;
}

export interface Group {
  name: string;
  requests: number;
  errors: number;
  error_rate: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  cost_usd: number;
}

export interface ScorePoint {
  time: string;
  metric: string;
  mean: number;
  count: number;
}

export interface Overview {
  period: Period;
  step_seconds: number;
  requests: number;
  errors: number;
  error_rate: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  cost_usd: number;
  points: Point[];
  services: Group[];
  layers: Group[];
  scores: ScorePoint[];
}

export interface Drop {
  at: string;
  before: number;
  after: number;
  z: number;
  trace_id: string | null;
}

export interface ScoreTrend {
  metric: string;
  count: number;
  mean: number;
  drop: Drop | null;
}

export interface WorstAnswer {
  timestamp: string;
  trace_id: string | null;
  user_id: string | null;
  metric: string;
  score: number;
}

export interface Quality {
  period: Period;
  step_seconds: number;
  verdict: string;
  trends: ScoreTrend[];
  points: ScorePoint[];
  worst: WorstAnswer[];
}

export interface ServiceInfo {
  name: string;
  versions: string[];
  environments: string[];
  first_seen: string;
  last_seen: string | null;
}

export interface OperationInfo {
  name: string;
  kind: string;
}

export interface Session {
  tenants: string[] | null;
  authentication: "none" | "bearer";
  version: string;
}
