// SPDX-License-Identifier: Apache-2.0
//
// The part of tools/check-deploy that reads manifests.
//
//      node check-deploy.mjs NPM KUBERNETES CMD
//
// NPM has the packages of check-deploy.packages, KUBERNETES the manifests, CMD the sources of
// the commands (their help is what options there are). Prints "passed FILE", or "FILE: object:
// what is wrong".
import { readFileSync, readdirSync, existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join, dirname, relative, resolve, basename } from "node:path";

const [npm, root, commands] = process.argv.slice(2).map((path) => resolve(path));
const folder_of = (name) => join(npm, readdirSync(npm).find((entry) =>
    entry.startsWith(name) && existsSync(join(npm, entry, "complete"))), "package");
const yaml = createRequire(import.meta.url)(folder_of("yaml-"));
const models = join(folder_of("client-node-"), "dist/gen/models");

const found = new Map(); // file -> what is wrong
const say = (file, text) => found.get(file).push(text);

// ------------------------------------------------------------------------------ types

// Fields of a type, from its declaration: { name: { type, needed } }.
const types = new Map();
function fields_of(type) {
    if (types.has(type)) return types.get(type);
    const path = join(models, `${type}.d.ts`);
    if (!existsSync(path)) return null;
    const fields = {};
    for (const [, name, may, kind] of
        readFileSync(path, "utf8").matchAll(
            /^    '([^']+)'(\?)?: (\{\n        \[key: string\]: .*;\n    \}|.*);$/gm))
        fields[name.replace(/^_(?=[a-z])/, "")] = { type: kind, needed: may === undefined };
    types.set(type, fields);
    return fields;
}

const quantity = /^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/;
const name_of_object = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

function check_plain(type, value, tell) {
    if (type === "any" || type === "object") return;
    if (type === "IntOrString" && (Number.isInteger(value) || typeof value === "string")) return;
    if (type === "number" && Number.isInteger(value)) return;
    if (type === "boolean" && typeof value === "boolean") return;
    if ((type === "string" || type === "Date") && typeof value === "string") return;
    tell(`is no ${type}: ${JSON.stringify(value)}`);
}

// tell(text) is told what is wrong at this place.
function check_value(type, value, where, tell) {
    const list = /^(?:Array|Set)<(.*)>$/.exec(type);
    const map = /^\{\s*\[key: string\]: (.*?);\s*\}$/.exec(type);
    const here = (text) => tell(`${where} ${text}`);
    if (list !== null) {
        if (!Array.isArray(value)) return here("is no list");
        value.forEach((each, i) => check_value(list[1], each, `${where}[${i}]`, tell));
    } else if (map !== null) {
        if (value === null || typeof value !== "object" || Array.isArray(value))
            return here("is no map");
        for (const [key, each] of Object.entries(value)) {
            check_value(map[1], each, `${where}.${key}`, tell);
            if (/\.(requests|limits)$/.test(where) && !quantity.test(String(each)))
                tell(`${where}.${key} is no quantity: ${each}`);
        }
    } else if (fields_of(type) === null) {
        check_plain(type, value, here);
    } else {
        check_object(fields_of(type), value, where, tell);
    }
}

function check_object(fields, value, where, tell) {
    if (value === null || typeof value !== "object" || Array.isArray(value))
        return tell(`${where} is no object`);
    for (const key of Object.keys(value))
        if (!Object.hasOwn(fields, key)) tell(`${where}.${key} is not known`);
        else check_value(fields[key].type, value[key], `${where}.${key}`, tell);
    for (const [key, field] of Object.entries(fields))
        if (field.needed && !Object.hasOwn(value, key)) tell(`${where}.${key} is missing`);
}

// The type's name in the package: v1, v1beta1 ... before the kind.
const type_of = (object) =>
    String(object.apiVersion).split("/").pop().replace(/^v/, "V") + object.kind;

const groups = { Namespace: "v1", Service: "v1", ConfigMap: "v1", Secret: "v1",
                 StatefulSet: "apps/v1", DaemonSet: "apps/v1", Deployment: "apps/v1",
                 NetworkPolicy: "networking.k8s.io/v1", PodDisruptionBudget: "policy/v1" };

function check_type(object, file) {
    const title = `${object.kind} ${object.metadata?.name}`;
    if (groups[object.kind] === undefined || fields_of(type_of(object)) === null)
        return say(file, `${object.apiVersion} ${object.kind} is not known`);
    if (groups[object.kind] !== object.apiVersion)
        say(file, `${title}: its apiVersion is ${groups[object.kind]}`);
    if (!name_of_object.test(object.metadata?.name ?? ""))
        say(file, `${title}: a bad name`);
    if (object.kind !== "Namespace" && object.metadata?.namespace !== "weft")
        say(file, `${title}: not in the namespace weft`);
    check_value(type_of(object), object, object.kind, (text) => say(file, `${title}: ${text}`));
}

// -------------------------------------------------------------------- what names what

const pods_of = (objects) => objects.filter(({ object }) => object.spec?.template !== undefined);
const has_labels = (wanted, labels) =>
    Object.entries(wanted ?? {}).every(([key, value]) => labels?.[key] === value);
const labels_of = ({ object }) => object.spec.template.metadata?.labels;
const containers_of = ({ object }) => [
    ...(object.spec.template.spec?.initContainers ?? []),
    ...(object.spec.template.spec?.containers ?? [])];

// Options of weft planner, weft worker: words in their help.
function check_arguments(container, tell) {
    const command = /^weft-(planner|worker):/.exec(container.image)?.[1];
    if (command === undefined || container.command !== undefined) return;
    const help = readFileSync(join(commands, `${command}_cmd.c`), "utf8");
    for (const arg of container.args ?? []) {
        const option = /^--[a-z-]+/.exec(arg)?.[0];
        if (option === undefined || !new RegExp(`^ *".*${option}[ \\\\]`, "m").test(help))
            tell(`weft ${command} has no option ${option ?? arg}`);
        for (const [, name] of arg.matchAll(/\$\(([A-Z0-9_]+)\)/g))
            if (!(container.env ?? []).some((entry) => entry.name === name))
                tell(`$(${name}) is no variable of the container ${container.name}`);
    }
}

function check_keys(container, all, tell) {
    for (const { name, valueFrom } of container.env ?? []) {
        for (const kind of ["ConfigMap", "Secret"]) {
            const field = kind === "Secret" ? "secretKeyRef" : "configMapKeyRef";
            const ref = valueFrom?.[field];
            const other = ref && all.find(({ object }) =>
                object.kind === kind && object.metadata.name === ref.name)?.object;
            if (ref && !Object.hasOwn({ ...other?.data, ...other?.stringData }, ref.key))
                tell(`${name}: no key ${ref.key} in ${kind} ${ref.name}`);
        }
    }
}

function check_volumes(pod, all, tell) {
    const spec = pod.object.spec;
    const volumes = spec.template.spec?.volumes ?? [];
    const names = [...volumes.map((volume) => volume.name),
                   ...(spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata?.name)];
    const mounts = containers_of(pod).flatMap((container) => container.volumeMounts ?? []);
    for (const mount of mounts)
        if (!names.includes(mount.name)) tell(`volume ${mount.name} is mounted and not there`);
    for (const name of names)
        if (!mounts.some((mount) => mount.name === name)) tell(`volume ${name} is not mounted`);
    for (const { secret, configMap } of volumes)
        for (const [kind, name] of [["Secret", secret?.secretName], ["ConfigMap", configMap?.name]])
            if (name && !all.some(({ object }) =>
                object.kind === kind && object.metadata.name === name))
                tell(`there is no ${kind} ${name}`);
}

function check_pod(pod, all, tell) {
    if (!has_labels(pod.object.spec.selector?.matchLabels ?? { "": "" }, labels_of(pod)))
        tell("its selector does not find its own pods");
    for (const container of containers_of(pod)) {
        if (!/^[a-z0-9-]+:[A-Za-z0-9._-]+$/.test(container.image ?? ""))
            tell(`image ${container.image}: NAME:TAG, without a registry`);
        const ports = (container.ports ?? []).map((port) => port.name);
        for (const probe of ["readinessProbe", "livenessProbe", "startupProbe"]) {
            const port = (container[probe]?.httpGet ?? container[probe]?.tcpSocket)?.port;
            if (port !== undefined && !ports.includes(port)) tell(`${probe}: no port ${port}`);
        }
        check_arguments(container, tell);
        check_keys(container, all, tell);
    }
    check_volumes(pod, all, tell);
    const service = pod.object.spec.serviceName;
    if (service && !all.some(({ object }) =>
        object.kind === "Service" && object.metadata.name === service))
        tell(`there is no Service ${service}`);
}

// Services, policies and budgets: the pods that they select, and those pods' ports.
function check_selects({ object }, pods, tell) {
    const selector = object.kind === "Service" ? object.spec.selector
        : (object.spec.podSelector ?? object.spec.selector)?.matchLabels;
    const chosen = pods.filter((pod) => has_labels(selector, labels_of(pod)));
    if (chosen.length === 0) tell("selects no pods");
    const ports = chosen.flatMap(containers_of).flatMap((container) => container.ports ?? []);
    const wanted = [...(object.spec.ports ?? []).map((port) => port.targetPort ?? port.port),
                    ...(object.spec.ingress ?? []).flatMap((rule) => rule.ports ?? [])
                        .map((port) => port.port)];
    for (const want of wanted)
        if (!ports.some((port) => port.name === want || port.containerPort === want))
            tell(`no port ${want} in the pods that it selects`);
    for (const peer of [...(object.spec.ingress ?? []).flatMap((rule) => rule.from ?? []),
                        ...(object.spec.egress ?? []).flatMap((rule) => rule.to ?? [])])
        if (peer.podSelector && !pods.some((pod) =>
            has_labels(peer.podSelector.matchLabels, labels_of(pod))))
            tell(`${JSON.stringify(peer.podSelector)} selects no pods`);
}

// What the objects of one kustomization (and of the examples) name is among them.
function check_set(objects, examples) {
    const all = [...objects, ...examples];
    const pods = pods_of(objects);
    const names = new Set();
    for (const each of objects) {
        const title = `${each.object.kind} ${each.object.metadata?.name}`;
        const tell = (text) => say(each.file, `${title}: ${text}`);
        if (names.has(title)) tell("is there twice");
        names.add(title);
        if (pods.includes(each)) check_pod(each, all, tell);
        if (["Service", "NetworkPolicy", "PodDisruptionBudget"].includes(each.object.kind))
            check_selects(each, pods, tell);
    }
}

// ------------------------------------------------------------------------------- files

function read(file) {
    const objects = [];
    found.set(file, []);
    for (const document of yaml.parseAllDocuments(readFileSync(file, "utf8"))) {
        for (const error of [...document.errors, ...document.warnings])
            say(file, error.message.split("\n")[0]);
        const object = document.errors.length === 0 ? document.toJS() : null;
        if (object !== null) objects.push({ object, file });
    }
    return objects;
}

const files = readdirSync(root, { recursive: true }).map((name) => join(root, String(name)))
    .filter((path) => /\.ya?ml$/.test(path) && statSync(path).isFile()).sort();
const contents = new Map(files.map((file) => [file, read(file)]));
const is_kustomization = (file) => basename(file) === "kustomization.yaml";
const named = new Set();

function resources_of(file) {
    const object = contents.get(file)?.[0]?.object ?? {};
    for (const key of Object.keys(object))
        if (!["apiVersion", "kind", "resources"].includes(key)) say(file, `${key} is not known`);
    return (object.resources ?? []).flatMap((name) => {
        const path = resolve(dirname(file), name);
        const inner = join(path, "kustomization.yaml");
        if (contents.has(inner)) return resources_of(inner);
        if (!contents.has(path)) say(file, `there is no ${name}`);
        named.add(path);
        return contents.get(path) ?? [];
    });
}

const examples = files.filter((file) => file.endsWith(".example.yaml"));
for (const file of files.filter((each) => !is_kustomization(each)))
    for (const { object } of contents.get(file)) check_type(object, file);
for (const file of files.filter(is_kustomization)) {
    const objects = resources_of(file);
    if (objects.some(({ object }) => object.kind === "StatefulSet")) // not the base alone
        check_set(objects, examples.flatMap((each) => contents.get(each)));
}
for (const file of files)
    if (!is_kustomization(file) && !examples.includes(file) && !named.has(file))
        say(file, "no kustomization names it");

for (const [file, texts] of found) {
    const name = relative(dirname(root), file);
    for (const text of new Set(texts)) console.log(`${name}: ${text}`);
    if (texts.length === 0) console.log(`passed ${name}`);
}
