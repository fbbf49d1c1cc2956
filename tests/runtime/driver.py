"""Runs the app in Microsoft's own Python runtime for Functions; started by test_the_runtime.py under Python 3.13.

Reads lines of JSON from standard input, `{"function": name, "inputs": {...}, "metadata": {...}}` with values as
`[kind, value]`, and answers each with a line. The first line it writes is what the runtime indexed. The messages stand
for the host's protobuf ones, of which the runtime reads attributes only.
"""

import asyncio
import json
import os
import sys
import types


class Message:
    """Unset fields read as None, as those of a proto3 wrapper do."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)


class TypedData(Message):
    FIELDS = (
        *("string", "json", "bytes", "stream", "http", "int", "double"),
        *("collection_bytes", "collection_string", "collection_double", "collection_sint64"),
        *("model_binding_data", "collection_model_binding_data"),
    )

    def __getattr__(self, name):  # the runtime probes for other attributes, and expects an error
        if name in TypedData.FIELDS:
            return
        raise AttributeError(name)

    def WhichOneof(self, _):
        return next(iter(self.__dict__), None)


class ParameterBinding(Message):
    def WhichOneof(self, _):
        return "data" if "data" in self.__dict__ else None


class StatusResult(Message):
    Failure, Success, Cancelled = 0, 1, 2


class BindingInfo(Message):
    out, inout, undefined, string, binary, stream = 1, 2, 0, 1, 2, 3


setattr(BindingInfo, "in", 0)


class RpcHttpCookie(Message):
    SameSite = types.SimpleNamespace(**{"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})


OTHERS = (
    *("WorkerInitResponse", "WorkerMetadata", "FunctionMetadataResponse", "FunctionLoadResponse"),
    *("InvocationResponse", "FunctionEnvironmentReloadResponse", "RpcFunctionMetadata", "RpcRetryOptions"),
    *("RpcException", "RpcHttp", "NullableString", "NullableBool", "NullableDouble", "NullableTimestamp"),
)
PROTOS = types.SimpleNamespace(
    TypedData=TypedData,
    ParameterBinding=ParameterBinding,
    StatusResult=StatusResult,
    BindingInfo=BindingInfo,
    RpcHttpCookie=RpcHttpCookie,
    **{name: type(name, (Message,), {}) for name in OTHERS},
)


def request(kind, **fields):
    body = types.SimpleNamespace(**{kind: types.SimpleNamespace(**fields)})
    return types.SimpleNamespace(request=body, properties={"host": "127.0.0.1", "protos": PROTOS})


def typed(given):
    kind, value = given
    if kind == "model_binding_data":
        value = types.SimpleNamespace(**{**value, "content": value["content"].encode()})
    return TypedData(**{kind: value})


async def invoke(runtime, function, call):
    answer = await runtime.invocation_request(
        request(
            "invocation_request",
            invocation_id="1",
            function_id=function.function_id,
            input_data=[ParameterBinding(name=name, data=typed(each)) for name, each in call["inputs"].items()],
            trigger_metadata={name: typed(each) for name, each in call.get("metadata", {}).items()},
            trace_context=types.SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=types.SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
    )
    failed = answer.result.exception.message if answer.result.status != StatusResult.Success else None
    outputs = {each.name: next(iter(each.data.__dict__.items())) for each in answer.output_data or []}
    return {"succeeded": failed is None, "error": failed, "outputs": outputs}


async def main():
    folder = sys.argv[1]
    sys.path.insert(0, folder)
    os.chdir(folder)
    import azure_functions_runtime as runtime

    runtime.start_threadpool_executor()
    started = await runtime.worker_init_request(
        request("worker_init_request", capabilities={}, function_app_directory=folder)
    )
    if started.result.status != StatusResult.Success:
        print(json.dumps({"error": started.result.exception.message}), flush=True)
        return
    indexed = await runtime.functions_metadata_request(request("functions_metadata_request"))
    functions = {function.name: function for function in indexed.function_metadata_results or []}
    bindings = {name: [json.loads(each) for each in function.raw_bindings] for name, function in functions.items()}
    print(json.dumps({"functions": bindings}), flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        print(json.dumps(await invoke(runtime, functions[call["function"]], call)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
