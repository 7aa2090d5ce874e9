import { http } from "@google-cloud/functions-framework";

// functions-framework --source=empty-function.ts --target=empty: the least that a function can be; the framework has read
// and parsed its body before.
http("empty", (_request, response) => {
  response.status(204).end();
});
