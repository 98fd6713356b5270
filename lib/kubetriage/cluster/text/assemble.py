"""Puts what texts show together to the objects, events and logs of one snapshot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from kubetriage.cluster.secrets import strip
from kubetriage.cluster.text import event_entries
from kubetriage.cluster.text.cgroup_files import KEPT, KEPT_NMT
from kubetriage.cluster.text.clock import clock_of
from kubetriage.cluster.text.event_claims import FORM as OF_CLAIMS
from kubetriage.cluster.text.event_claims import claims_of, tie
from kubetriage.cluster.text.event_nodes import FORM as OF_NODES
from kubetriage.cluster.text.event_nodes import node_from, node_of
from kubetriage.cluster.text.event_pods import BOUND, NO_NODE, REASONS, named_by, pod_of, replica_set_of
from kubetriage.cluster.text.event_pods import FORM as EVENTS
from kubetriage.cluster.text.event_words import name_images, statuses, tell
from kubetriage.cluster.text.found import Finds, Found, FoundEvent, Raw
from kubetriage.cluster.text.merging import merged
from kubetriage.cluster.text.node_words import tell_nodes
from kubetriage.cluster.text.owners import tell_owners
from kubetriage.cluster.text.paste import Hint, ObjectKey, Paste
from kubetriage.cluster.text.printed_pods import NO_CONTAINER, finish_pod
from kubetriage.cluster.text.printed_usage import add_usage, tell_running
from kubetriage.cluster.text.store import Store
from kubetriage.cluster.text.subject import NO_POD, alike_of, is_unwell, name_for_parts, only_pod
from kubetriage.cluster.text.whose_logs import WORKLOADS, Owners
from kubetriage.needs import Body, Failure, Get, List, Log, Why
from kubetriage.needs import Raw as RawNeed
from kubetriage.readers.cgroup_values import cgroup_path, nmt_path
from kubetriage.readers.events import PRINTED_AGE, node_event_need
from kubetriage.records import replace
from kubetriage.snapshot import Snapshot
from kubetriage.typed import Any
from kubetriage.values.fields import dig, name_of, namespace_of, objects, text
from kubetriage.values.resources import BY_KIND, BY_PLURAL
from kubetriage.values.times import format_time


def assemble(finds: Sequence[Finds], snapshot: Snapshot, hint: Hint) -> Paste:
    """Fill ``snapshot``; objects that it holds already (of files of YAML beside the texts) stay as they are."""
    return _Assembly(finds, snapshot, hint).run()


class _Assembly:
    def __init__(self, finds: Sequence[Finds], snapshot: Snapshot, hint: Hint) -> None:
        self.finds = finds
        self.snapshot = snapshot
        self.hint = hint
        self.paste = Paste(unused=[u for f in finds for u in f.unused])
        self.store = Store(snapshot)
        self.objects = self.store.objects
        self.forms = self.store.forms
        self.ages: dict[ObjectKey, timedelta] = {}

    def run(self) -> Paste:
        told = clock_of(self.finds)
        self.snapshot.dated = self.hint.now is not None or told.sure
        self.snapshot.now = self.hint.now or told.now or datetime.now(timezone.utc).replace(microsecond=0)
        self.paste.namespace = self._namespace()
        found = sorted((o for f in self.finds for o in f.objects), key=lambda o: o.described)
        self._name_pods(found)
        for item in found:
            self._merge(item)
        self._make_of_events()
        self._make_claims()
        self._resolve_containers()
        tell_owners(self.finds, self.store, self.paste.namespace)
        self._tell_endpoints()
        for f in self.finds:
            for event in list(f.events):
                nameless = not event.name
                self._place(event)
                alike = alike_of((event.namespace, event.name), self.objects) if nameless else ()
                f.events += [replace(event, name=name) for name in alike]
        for event in (e for f in self.finds for e in f.events):
            tell(event, self.objects)
            self._bind(event)
        nodes = {key[2]: obj for key, obj in self.objects.items() if key[0] == "nodes"}
        tell_nodes((log for f in self.finds for log in f.node_logs), nodes)
        for f in self.finds:
            tell_running(f.usage, self.objects, self.paste.namespace)
        for key, obj in self.objects.items():
            self._add(key, obj)
        self._lists()
        self._events()
        self._logs()
        self._rest()
        return self.paste

    # Names.

    def _namespace(self) -> str:
        if self.hint.namespace:
            return self.hint.namespace
        told: dict[str, None] = {}
        for f in self.finds:
            for found in f.objects:
                if found.described and namespace_of(found.obj):
                    told.setdefault(namespace_of(found.obj))
            told.update(
                dict.fromkeys(log.namespace for log in f.logs if log.namespace and log.namespace != "kube-system")
            )
            told.update(dict.fromkeys(place for _, place in f.whole if place and place != "?"))
        if not told:
            told = {namespace_of(o.obj): None for f in self.finds for o in f.objects if namespace_of(o.obj)}
        return next(iter(told)) if len(told) == 1 else "default"

    def _wanted(self, resource: str) -> str:
        """Return the name that the user gave for a resource, or an empty string."""
        return next((name for kind, name in self.hint.targets if kind == resource), "")

    def _name_pods(self, found: list[Found]) -> None:
        """Give parts of a pod's describe or YAML the name that the user or the rest of the text gives."""
        logs = {log.pod for f in self.finds for log in f.logs if log.pod and log.container != "etcd"}
        parts = [o.obj for o in found if o.resource == "pods" and not name_of(o.obj)]
        space, named = named_by(text(s, "state", "waiting", "message") for o in parts for s in statuses(o))
        only = self._wanted("pods") or name_for_parts(found) or named or (logs.pop() if len(logs) == 1 else "")
        for item in found:
            if item.resource == "pods" and not name_of(item.obj):
                item.obj.setdefault("metadata", {})
                place = {"namespace": space} if space and only == named and not namespace_of(item.obj) else {}
                item.obj["metadata"] = {**item.obj["metadata"], "name": only or NO_POD, **place}

    # Objects.

    def _merge(self, found: Found) -> None:
        resource = BY_PLURAL.get(found.resource)
        name = name_of(found.obj)
        if resource is None or not name:
            return
        metadata = dict(found.obj.get("metadata") or {})
        if resource.namespaced:
            metadata["namespace"] = namespace_of(found.obj) or self.paste.namespace
        else:
            metadata.pop("namespace", None)
        found.obj["metadata"] = metadata
        key = (found.resource, metadata.get("namespace", ""), name)
        known = self.objects.get(key)
        self.objects[key] = merged(known, found.obj) if known is not None else found.obj
        self.forms.setdefault(key, []).append(found.form)
        if found.age is not None:
            self.ages.setdefault(key, found.age)
        if found.described and key not in self.paste.described:
            self.paste.described.append(key)

    def _make_of_events(self) -> None:
        """Make the pods, and the ReplicaSets that cannot create any, of which only events tell."""
        self._make_nodes()
        self._make_entries()
        nameless = [e for f in self.finds for e in f.events if not e.name]
        told = not any(key[0] in ("pods", *WORKLOADS) for key in self.objects) and not any(
            kind not in ("pods", *WORKLOADS) for kind, _ in self.hint.targets
        )
        about: dict[tuple[str, str], list[FoundEvent]] = {}
        refused: dict[tuple[str, str], None] = {}
        for event in (e for f in self.finds for e in f.events):
            if event.reason == "FailedCreate" and event.kind in ("", "ReplicaSet"):
                event.kind, event.name = "ReplicaSet", event.name or replica_set_of(event)
                if event.name:
                    place = event.namespace or self.paste.namespace
                    self.store.need("replicasets", place, event.name, EVENTS)
                    refused[place, event.name] = None
            elif event.kind == "Pod" and event.name and event.reason in REASONS:
                about.setdefault((event.namespace or self.paste.namespace, event.name), []).append(event)
        if told and any(e.reason in REASONS and e.kind in ("", "Pod") for e in nameless):
            place, name = named_by(e.message for e in nameless)
            known = about if len(about) == 1 and not name else {}
            where, who = next(iter(known), (place or self.paste.namespace, self._wanted("pods") or name or NO_POD))
            for event in nameless:
                if event.kind in ("", "Pod"):
                    event.kind, event.namespace, event.name = "Pod", where, who
                    about.setdefault((where, who), []).append(event)
        if told and not about and not self.paste.described:
            self.paste.described += [("replicasets", *key) for key in refused]
        for (where, who), events in about.items():
            if ("pods", where, who) not in self.objects:
                made = self.store.need("pods", where, who, EVENTS)
                made.update(pod_of(events))
                if len(about) == 1:
                    self.paste.described.append(("pods", where, who))

    def _make_entries(self) -> None:
        """Make the Services, Ingresses and Gateway objects of which only events tell."""
        about: dict[ObjectKey, list[FoundEvent]] = {}
        for event in (e for f in self.finds for e in f.events):
            if resource := event_entries.entry_of(event):
                key = resource, event.namespace or self.paste.namespace, event.name
                about.setdefault(key, []).append(event)
        for key, events in about.items():
            if key in self.objects:
                continue
            waits = event_entries.is_balanced(key[0], events)
            made = self.store.need(*key, event_entries.FORM_OF_BALANCED if waits else event_entries.FORM)
            made.update(event_entries.balanced() if waits else {})
            if len(about) == 1 and not self.paste.described:
                self.paste.described.append(key)

    def _make_claims(self) -> None:
        """Make the claims of which only events tell, and tie the pods to them that wait for one."""
        claims = claims_of((e for f in self.finds for e in f.events), self.paste.namespace)
        for (place, name), missing in claims.items():
            if ("persistentvolumeclaims", place, name) not in self.objects:
                made = self.store.need("persistentvolumeclaims", place, name, OF_CLAIMS)
                made["status"] = {"phase": "Pending"}
                if missing:
                    made["spec"] = {"storageClassName": missing}
            if missing:
                self.finds[0].absent.append(("storageclasses", "", missing))
        for (resource, place, name), obj in self.objects.items() if claims else ():
            if resource == "pods":
                tie(obj, name, [claim for where, claim in claims if where == place])

    def _make_nodes(self) -> None:
        """Make the nodes of which only events tell."""
        about: dict[str, list[FoundEvent]] = {}
        for event in (e for f in self.finds for e in f.events):
            if name := node_of(event):
                event.kind, event.name, event.namespace = "Node", name, ""
                about.setdefault(name, []).append(event)
        for name, events in about.items():
            if ("nodes", "", name) not in self.objects:
                made = self.store.need("nodes", "", name, OF_NODES)
                made["metadata"].pop("namespace", None)
                made.update(node_from(events))
                if len(about) == 1 and not self.paste.described:
                    self.paste.described.append(("nodes", "", name))

    def _resolve_containers(self) -> None:
        """Give a container cut from its context its name, where the rest tells it."""
        for (resource, _, name), obj in self.objects.items():
            if resource != "pods":
                continue
            names = {text(c, "name") for part in ("containers",) for c in objects(obj, "spec", part)} - {
                NO_CONTAINER,
                "",
            }
            names |= {text(c, "name") for c in objects(obj, "status", "containerStatuses")} - {NO_CONTAINER, ""}
            told = self._containers_told(name)
            only = self.hint.container or (next(iter(names or told)) if len(names or told) == 1 else "")
            name_images(obj)
            if only:
                for part in (dig(obj, "spec", "containers"), dig(obj, "status", "containerStatuses")):
                    self._rename(part, only)
            finish_pod(obj, names or told, self.snapshot.now)

    def _rename(self, part: Any, name: str) -> None:
        rows = [row for row in part if isinstance(row, dict)] if isinstance(part, list) else []
        lost = next((row for row in rows if row.get("name") in (NO_CONTAINER, "", None)), None)
        if lost is None:
            return
        own = next((row for row in rows if row.get("name") == name), None)
        lost["name"] = name
        if own is not None:
            combined = merged(own, lost)
            part[:] = [row for row in rows if row is not lost and row is not own]
            part.insert(0, combined)

    def _containers_told(self, pod: str) -> set[str]:
        """Return the containers of a pod that its events and logs name."""
        told = set[str]()
        for f in self.finds:
            for event in f.events:
                if event.name == pod and event.container_path.startswith("spec.containers{"):
                    told.add(event.container_path[16:-1])
            told |= {log.container for log in f.logs if log.pod == pod and log.container}
            told |= {container for _, its_pod, container, _, _ in f.no_logs if its_pod == pod}
        return told

    def _tell_endpoints(self) -> None:
        """Tie endpoints to pods by their addresses: neither tables nor the describe of a Service name the pods."""
        pods = {
            (place, text(obj, "status", "podIP")): name
            for (resource, place, name), obj in self.objects.items()
            if resource == "pods"
            and text(obj, "status", "podIP")
            and dig(obj, "status", "phase") not in ("Succeeded", "Failed")
        }
        for (resource, place, _), obj in self.objects.items():
            if resource == "endpoints":
                for subset in objects(obj, "subsets"):
                    for part in ("addresses", "notReadyAddresses"):
                        for address in objects(subset, part):
                            self._tie(address, pods.get((place, text(address, "ip")), ""), place)
            elif resource == "endpointslices":
                for endpoint in objects(obj, "endpoints"):
                    first = next(iter(endpoint.get("addresses") or ()), "")
                    self._tie(endpoint, pods.get((place, str(first)), ""), place)

    def _tie(self, entry: Mapping[str, Any], pod: str, namespace: str) -> None:
        if pod and isinstance(entry, dict) and "targetRef" not in entry:
            uid = self.store.uid("Pod", namespace, pod)
            entry["targetRef"] = {"kind": "Pod", "name": pod, "namespace": namespace, "uid": uid}

    def _add(self, key: ObjectKey, obj: Raw) -> None:
        resource, place, name = key
        kind = BY_PLURAL[resource].kind
        metadata = obj["metadata"]
        metadata.setdefault("uid", self.store.uid(kind, place, name))
        if "creationTimestamp" not in metadata and key in self.ages:
            metadata["creationTimestamp"] = format_time(self.snapshot.now - self.ages[key])
        for owner in metadata.get("ownerReferences") or ():
            if isinstance(owner, dict) and not owner.get("uid"):
                owner["uid"] = self.store.uid(text(owner, "kind"), place, text(owner, "name"))
        for part in obj.get("endpoints") or () if resource == "endpointslices" else ():
            target = part.get("targetRef") if isinstance(part, Mapping) else None
            if isinstance(target, dict) and not target.get("uid"):
                target["uid"] = self.store.uid(text(target, "kind"), place, text(target, "name"))
        container = next((text(one, "name") for one in objects(obj, "spec", "containers")), "")
        if values := obj.pop(KEPT, None):
            self.snapshot.add_body(RawNeed(cgroup_path(place, name, container)), Body(json.dumps(values)))
        if words := obj.pop(KEPT_NMT, ""):
            self.snapshot.add_body(RawNeed(nmt_path(place, name, container)), Body(words))
        if self.snapshot.get(resource, place, name).found:
            return
        self.snapshot.add(resource, strip(resource, obj))
        for form in self.forms[key]:
            self.snapshot.add_form(obj, form)
        if key not in self.store.made:
            self.snapshot.presume(resource, place)

    # Lists, events, logs.

    def _lists(self) -> None:
        for f in self.finds:
            for resource, place in f.whole:
                self.snapshot.add_shaped(List(resource, self.paste.namespace if place == "?" else place), (), 0)
            for kind, place, name in f.whole_events:
                where = place or self.paste.namespace
                if kind == "Node":
                    self.snapshot.add_shaped(node_event_need(name), (), 0)
                    where = ""
                uid = self.store.uid(kind, where, name)
                self.snapshot.add_shaped(List("events", where or "default", fields=f"involvedObject.uid={uid}"), (), 0)

    def _events(self) -> None:
        """Add the events; where the describe of an object lists them, a table that lists them again is left out."""
        described = {about for f in self.finds for about in f.whole_events}
        kept: list[FoundEvent] = []
        for f in self.finds:
            for event in f.events:
                known = {(event.kind, place, event.name) for place in ("", event.namespace)} & described
                if event.listed and known:
                    continue
                kept.append(event)
        for at, event in enumerate(kept):
            made = self._event(event, at)
            self.snapshot.add("events", made)
            self.snapshot.presume("events", namespace_of(made))

    def _place(self, event: FoundEvent) -> None:
        """Tell which object an event is about, where its row did not."""
        if not event.name:
            pods = {key: obj for key, obj in self.objects.items() if key[0] == "pods"}
            chosen = only_pod(pods, self.paste.described)
            wanted = self.hint.targets[0] if self.hint.targets else None
            if wanted is not None and wanted[0] in BY_PLURAL:
                event.kind, event.name = BY_PLURAL[wanted[0]].kind, wanted[1]
            elif chosen is not None:
                event.kind, event.namespace, event.name = "Pod", chosen[1], chosen[2]
            else:
                event.kind, event.name = event.kind or "Pod", NO_POD
        event.namespace = event.namespace or self.paste.namespace

    def _bind(self, event: FoundEvent) -> None:
        """Give a pod of which the kubelet tells a node, where no form prints it."""
        key = ("pods", event.namespace, event.name)
        pod = self.objects.get(key) if event.kind == "Pod" and event.reason in BOUND else None
        if pod is None or dig(pod, "spec", "nodeName") or dig(pod, "status", "phase") in ("Failed", "Succeeded"):
            return
        if not any(form.covers("spec.nodeName") for form in self.forms[key]):
            pod["spec"] = {**(pod.get("spec") or {}), "nodeName": NO_NODE}

    def _event(self, event: FoundEvent, at: int) -> Raw:
        resource = BY_KIND.get(event.kind)
        cluster = resource is not None and not resource.namespaced
        place = "default" if cluster else event.namespace
        about: Raw = {"kind": event.kind, "namespace": "" if cluster else place, "name": event.name}
        about["uid"] = self.store.uid(event.kind, place, event.name)
        if event.container_path:
            path = event.container_path
            pod = self.objects.get(("pods", place, event.name), {})
            name = path[16:-1] if path.startswith("spec.containers{") else ""
            if name and any(text(c, "name") == name for c in objects(pod, "spec", "initContainers")):
                path = f"spec.initContainers{{{name}}}"
            about["fieldPath"] = path
        now = self.snapshot.now
        made: Raw = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{event.name}.{at:x}", "namespace": place},
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "message": event.message,
            "count": event.count,
            "involvedObject": about,
        }
        if event.at:
            made["lastTimestamp"] = made["firstTimestamp"] = event.at
        elif event.age is not None:
            made["lastTimestamp"] = format_time(now - event.age)
            made["firstTimestamp"] = format_time(now - (event.first if event.first is not None else event.age))
            made[PRINTED_AGE] = event.printed_age
        if event.component:
            made["source"] = {"component": event.component}
        return made

    def _logs(self) -> None:
        owners = Owners(self.store, self.paste, self.hint)
        for f in self.finds:
            for log in f.logs:
                for key in owners.keys(log):
                    self.paste.logs[key] = self.paste.logs.get(key, "") + log.text
        for made in owners.made:
            self._add(made, self.objects[made])
        told = {("pods", place, pod) for place, pod, _, _ in self.paste.logs} & set(self.objects)
        others = {key for key, obj in self.objects.items() if key[0] == "pods" and is_unwell(obj)} - told
        if len(told) == 1 and not others and not any(key[0] == "pods" for key in self.paste.described):
            # A log is shown of the pod that is asked about.
            self.paste.described += told
        for f in self.finds:
            for place, pod, container, previous, words in f.no_logs:
                key = (place or self.paste.namespace, pod, container, previous)
                if key not in self.paste.logs:
                    self.snapshot.fail(Log(*key), Failure(Why.NOT_FOUND, words, 400))
        self.snapshot.offer_logs(self.paste.logs)

    def _rest(self) -> None:
        nodes = [key[2] for key in self.objects if key[0] == "nodes"]
        wanted = self._wanted("nodes")
        for f in self.finds:
            for log in f.node_logs:
                self.snapshot.add_node_log(
                    log.node or wanted or (nodes[0] if len(nodes) == 1 else ""), log.source, log.text
                )
            for resource, place, name in f.absent:
                where = (place or self.paste.namespace) if BY_PLURAL[resource].namespaced else ""
                if not self.snapshot.get(resource, where, name).found:
                    words = f'{BY_PLURAL[resource].qualified} "{name}" not found'
                    self.snapshot.fail(Get(resource, where, name), Failure(Why.NOT_FOUND, words, 404))
            add_usage(f.usage, self.objects, self.paste.namespace, self.snapshot)
            for resource, place, words in f.refused:
                where = (place or self.paste.namespace) if BY_PLURAL[resource].namespaced else ""
                self.snapshot.fail(List(resource, where), Failure(Why.FORBIDDEN, words, 403))
            for other in f.others:
                self.snapshot.add_other(other)
            for path, answer, status in f.bodies:
                self.snapshot.add_body(RawNeed(path), Body(answer, status))
            if f.version:
                self.snapshot.add_body(RawNeed("/version"), Body(f'{{"gitVersion": "{f.version}"}}'))
