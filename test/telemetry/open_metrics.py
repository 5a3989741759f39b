"""Reads the text form of OpenMetrics from standard input by the strict parser of prometheus_client; prints what it found as JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = []
for family in text_string_to_metric_families(sys.stdin.read()):
    traces = [sample.exemplar.labels["trace_id"] for sample in family.samples if sample.exemplar]
    families.append({"name": family.name, "type": family.type, "unit": family.unit, "traces": traces})
print(json.dumps(families))
