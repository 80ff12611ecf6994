"use strict";

const byId = (id) => document.getElementById(id);
let models = [];
let searches = 0;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

async function answer(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

function picture(source, description) {
  const image = element("img");
  image.loading = "lazy";
  image.src = source;
  image.alt = description;
  return image;
}

function card(match, rank, model, isOnlyHere) {
  const made = element("button", isOnlyHere ? "card only" : "card");
  made.type = "button";
  made.title = match.path;
  made.append(picture(`image?row=${match.row}`, match.path));
  const caption = element("span", "caption", rank ? `${rank}. ${match.score.toFixed(3)}` : match.path.split("/").pop());
  if (isOnlyHere) caption.append(element("span", "tag", " only here"));
  made.append(caption);
  made.addEventListener("click", () => openDetails(match, model));
  return made;
}

function section(title, about, cards) {
  const made = element("section");
  made.append(element("h2", "", title), element("p", "about", about));
  const images = element("div", "images wide");
  images.append(...cards);
  made.append(images);
  return made;
}

function showMatches(answers) {
  const rows = answers.map((matches) => new Set(matches.map((match) => match.row)));
  const sections = answers.map((matches, model) => {
    const cards = matches.map((match, place) => {
      const isOnlyHere = rows.length > 1 && !rows[1 - model].has(match.row);
      return card(match, place + 1, model, isOnlyHere);
    });
    return section(models[model].name, models[model].about, cards);
  });
  byId("results").className = answers.length > 1 ? "two" : "";
  byId("results").replaceChildren(...sections);
}

async function search(event) {
  event.preventDefault();
  const text = byId("text").value.trim();
  const number = ++searches;
  if (!text) {
    byId("status").textContent = "Type a sentence.";
    return;
  }
  byId("status").textContent = "Searching ...";
  try {
    const result = await answer(`search?text=${encodeURIComponent(text)}`);
    if (number !== searches) return;  // a later search has been started
    showMatches(result.models);
    const only = result.models.length > 1 ? " \u201conly here\u201d: not among the images of the other model." : "";
    byId("status").textContent =
      `Best ${result.models[0].length} images, with rank and cosine. Choose one to see its neighbours in the graph.${only}`;
  } catch (error) {
    byId("status").textContent = `No answer: ${error.message}`;
  }
}

function nodeCard(node, model) {
  const made = element("div", "card");
  if (node.row !== null) {
    const domain = node.domain === "source" ? 0 : 1;
    made.append(picture(`node?model=${model}&domain=${domain}&row=${node.row}`, `Image of the ${node.domain}`));
  } else {
    made.append(element("span", "text", node.text || "(not in the data any more)"));
  }
  made.append(element("span", "caption", `${node.domain}, ${node.score.toFixed(3)}`));
  return made;
}

async function openDetails(match, model) {
  byId("details-image").src = `image?large=1&row=${match.row}`;
  byId("details-path").textContent = match.path;
  byId("details-model").textContent = `Model: ${models[model].name} (${models[model].about})`;
  byId("details-sentence").textContent = "Loading ...";
  byId("details-anchor").textContent = "";
  byId("neighbours").replaceChildren();
  if (!byId("details").open) byId("details").showModal();
  try {
    const around = await answer(`neighbours?model=${model}&row=${match.row}`);
    byId("details-sentence").textContent = around.sentence;
    byId("details-anchor").textContent =
      around.anchor ? `Caption (${around.anchor.score.toFixed(3)}): ${around.anchor.text}` : "";
    byId("neighbours").className = around.nodes.every((node) => node.row === null) ? "images captions" : "images";
    byId("neighbours").replaceChildren(...around.nodes.map((node) => nodeCard(node, model)));
  } catch (error) {
    byId("details-sentence").textContent = `No answer: ${error.message}`;
  }
}

async function start() {
  const about = await answer("about");
  models = about.models;
  const cards = about.images.map((image) => card(image, 0, 0, false));
  const shown = about.images.length < about.count ? `the first ${about.images.length}` : "all";
  byId("results").replaceChildren(section("Gallery", about.title, cards));
  byId("status").textContent = `${about.count.toLocaleString("en")} images; ${shown} are shown. Type a sentence to search them.`;
}

byId("search").addEventListener("submit", search);
byId("close").addEventListener("click", () => byId("details").close());
byId("details").addEventListener("click", (event) => {
  if (event.target === byId("details")) byId("details").close();  // beside the box
});
start().catch((error) => { byId("status").textContent = `No answer: ${error.message}`; });
