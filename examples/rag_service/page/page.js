// Sends what a person wrote, and shows below the answer what happened to the request.

const answer = document.querySelector("#answer");

function show(said) {
  answer.textContent = said.answer ?? said.error ?? (said.file && `${said.file}: ${said.chunks} chunks`) ?? said.detail;
  if (!said.trace_id) return;
  document.querySelector("#trace").textContent = said.trace_id;
  const timeline = document.createElement("ganglion-trace-timeline");
  timeline.setAttribute("trace-id", said.trace_id);
  timeline.setAttribute("endpoint", "/my/trace");
  document.querySelector("#timeline").replaceChildren(timeline);
  document.querySelector("#happened").hidden = false;
}

async function send(form, path, options) {
  const button = form.querySelector("button");
  button.disabled = true;
  answer.textContent = "Working …";
  try {
    const response = await fetch(path, { method: "POST", ...options });
    show(await response.json());
  } catch {
    answer.textContent = "The service does not answer.";
  } finally {
    button.disabled = false;
  }
}

document.querySelector("#upload").addEventListener("submit", (event) => {
  event.preventDefault();
  send(event.target, "/documents", { body: new FormData(event.target) });
});

document.querySelector("#ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = JSON.stringify({ question: event.target.question.value });
  send(event.target, "/ask", { body, headers: { "content-type": "application/json" } });
});
