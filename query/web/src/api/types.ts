/** The answers of the API, by the names the pages use; generated from docs/openapi.json by `npm run types`. */

import type { components } from "./schema";

type Schemas = components["schemas"];

/** Every field is in an answer, also those that the schema calls optional since they have a default. */
type Whole<T> = T extends (infer Item)[]
  ? Whole<Item>[]
  : T extends object
    ? { [Name in keyof T]-?: Whole<T[Name]> }
    : T;

type Answer<Name extends keyof Schemas> = Whole<Schemas[Name]>;

export interface Page<T> {
  items: T[];
  next: string | null;
}

export type Change = Answer<"Change">;
export type Changes = Answer<"Changes">;
export type Comparison = Answer<"Comparison">;
export type CostBy = Costs["by"];
export type CostGroup = Answer<"CostGroup">;
export type Costs = Answer<"Costs">;
export type CriticalStep = Answer<"CriticalStep">;
export type ErrorGroup = Answer<"ErrorGroup">;
export type ErrorGroups = Answer<"ErrorGroups">;
export type ErrorRow = Answer<"ErrorRow">;
export type Estimate = Answer<"Estimate">;
export type Explanation = Answer<"Explanation">;
export type Finding = Answer<"Finding">;
export type Group = Answer<"Group">;
export type Health = Answer<"Health">;
export type LogPage = Answer<"LogPage">;
export type LogRow = Answer<"LogRow">;
export type LogVolume = Answer<"LogVolume">;
export type Message = Answer<"Message">;
export type MissingSpan = Answer<"MissingSpan">;
export type OperationInfo = Answer<"OperationInfo">;
export type Overview = Answer<"Overview">;
export type Part = Answer<"Part">;
export type Quality = Answer<"Quality">;
export type ScoreTrend = Answer<"ScoreTrend">;
export type ServiceHealth = Answer<"ServiceHealth">;
export type ServiceInfo = Answer<"ServiceInfo">;
export type SpanComparison = Answer<"SpanComparison">;
export type SpanDetail = Answer<"SpanDetail">;
export type SpanEvent = Answer<"SpanEvent">;
export type SpanNode = Answer<"SpanNode">;
export type Spent = Answer<"Spent">;
export type State = Health["state"];
export type TraceAnswer = Answer<"TraceAnswer">;
export type TraceSummary = Answer<"TraceSummary">;
export type ValueGroup = Answer<"ValueGroup">;
export type WorstAnswer = Answer<"WorstAnswer">;
