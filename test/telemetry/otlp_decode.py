"""Decodes what is sent by OTLP as protobuf, by the official schema, and prints it as JSON: traces or metrics, from standard input."""

import json
import sys

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

kinds = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest}
message = kinds[sys.argv[1]]()
message.ParseFromString(sys.stdin.buffer.read())


def unknown(of):
    from google.protobuf.unknown_fields import UnknownFieldSet

    found = len(UnknownFieldSet(of))
    for field, value in of.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for each in [value] if hasattr(value, "ListFields") else value:
                found += unknown(each)
    return found


print(json.dumps({"unknown": unknown(message), "message": MessageToDict(message)}))
