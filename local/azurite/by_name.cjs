// Has Azurite find a blob by its name. Its database takes the first condition of a query from an index and compares the
// others with all that this leaves. Azurite begins with the account, so each call would look at every blob there is.
const { Collection, Resultset } = require("lokijs");

const find = Resultset.prototype.find;
Resultset.prototype.find = function (query, ...rest) {
  for (const member of ["name", "blobName"]) {
    if (query && typeof query[member] === "string") query = { [member]: query[member], ...query };
  }
  return find.call(this, query, ...rest);
};

// To remove what a query finds, the database sorts all its indexes again: for each piece of content that Azurite has no
// use for any more, every ten minutes, which stops it for minutes. One by one it takes them out of the indexes.
Collection.prototype.findAndRemove = function (query) {
  for (const found of this.find(query)) this.remove(found);
};

// Azurite compares the path of a call with a template for each of its operations, and parses all of them at each call.
const read = require("uri-templates");
const templates = new Map();
require.cache[require.resolve("uri-templates")].exports = function (text) {
  if (!templates.has(text)) templates.set(text, read(text));
  return templates.get(text);
};
