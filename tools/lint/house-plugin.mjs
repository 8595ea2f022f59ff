// The house's own lint rules, as a plugin of oxlint (`.oxlintrc.json` names it). `tests/house/lint.test.ts` proves each.

const bareErrors = new Set([
  "Error",
  "TypeError",
  "RangeError",
  "SyntaxError",
  "EvalError",
  "URIError",
  "ReferenceError",
]);

/** Errors carry a code and a fix, so that a person can act on them: no bare `new Error` in what we publish. */
const noBareError = {
  meta: { type: "problem", schema: [] },
  /** @param {any} context */
  create(context) {
    /** @param {any} node */
    const check = (node) => {
      if (node.callee.type !== "Identifier" || !bareErrors.has(node.callee.name)) return;
      context.report({
        node,
        message: `Bare ${node.callee.name}. Throw one of the errors of @latentkit/core: code, message (given and expected), fix.`,
      });
    };
    return { NewExpression: check, CallExpression: check };
  },
};

/** A type assertion is a claim that the compiler cannot check: say why it holds. */
const commentOnAssertion = {
  meta: { type: "suggestion", schema: [] },
  /** @param {any} context */
  create(context) {
    return {
      /** @param {any} node */
      TSAsExpression(node) {
        const { typeAnnotation } = node;
        if (typeAnnotation.type === "TSTypeReference" && typeAnnotation.typeName.name === "const")
          return;
        let statement = node;
        while (
          statement.parent &&
          !/Statement$|Declaration$|PropertyDefinition$/.test(statement.type)
        )
          statement = statement.parent;
        const comments = context.sourceCode.getAllComments();
        const explained = comments.some((/** @type {any} */ comment) => {
          const { start, end } = comment.loc;
          return (
            (start.line >= statement.loc.start.line && end.line <= node.loc.end.line) ||
            end.line === statement.loc.start.line - 1 ||
            end.line === node.loc.start.line - 1
          );
        });
        if (explained) return;
        context.report({
          node,
          message:
            "`as` without a comment. Parse or narrow instead, or say in a comment why it holds.",
        });
      },
    };
  },
};

export default {
  meta: { name: "house" },
  rules: { "no-bare-error": noBareError, "comment-on-assertion": commentOnAssertion },
};
