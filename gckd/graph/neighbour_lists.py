"""K nearest neighbours of all entries of a memory bank (eq. 3), updated from step to step instead of searched again."""

from __future__ import annotations

import torch
from torch import Tensor

from gckd.graph.centred_cosine import MIN_DISTANCE, ROUNDING, CentredCosine, raised_limits
from gckd.graph.knn import CentredBank, Neighbours, nearest, search_of_all

CANDIDATES = 3  # candidates per neighbour: lists of W = 3 K
MIN_SIZE = 4  # banks of at most 4 W entries are searched in full
MAX_CHANGED = 1 / 8  # banks of which a larger share was replaced are searched in full
PAIRS = 2**15  # pairs whose dot products are computed at a time
ROWS = 2**13  # lists that are ranked at a time
QUANTUM = 2.0**-30  # cosines that round to the same multiple are ordered by index
# Rounding of a product of float32 numbers in a matrix product, by `torch.get_float32_matmul_precision`.
PRODUCT_ROUNDING = {"highest": 2.0**-23, "high": 2.0**-10, "medium": 2.0**-7}


class NeighbourLists:
    """Exact K nearest neighbours by cosine of all entries of a bank without their mean, at each step of a training.

    Each entry has a list of candidates (its members) and a limit: no entry outside the list has a larger cosine. A step
    replaces few entries and moves the mean a little. An update

    1. raises the limits by the most that the new mean can change a cosine (`raised_limits`),
    2. compares the replaced entries with all others, adds them to the lists whose limit they exceed, and searches their
       own lists,
    3. scores all candidates, and searches the lists whose K-th score is not above the limit.

    If the mean has not moved (`graph.memory.mean_every`), limits stay, and only lists with a new candidate or a
    candidate that was replaced are scored.

    Scores are computed in float64 from the entries and the mean alone, and entries of equal score are ordered by index.
    So the result does not depend on earlier updates, and an interrupted run resumes without the lists.

    Cost: O(N (B d + W)) for B replaced entries and lists of W, and O(N d) for each list that is searched. Memory beside
    the bank: one copy of it, and 16 W bytes for each entry.

    Source: ours. The limits follow the idea of Elkan, "Using the triangle inequality to accelerate k-means", ICML 2003.

    Differences from `nearest`: float64 instead of float32 decides between entries of almost equal cosine.

    Attributes:
        searched: number of lists that the last update searched.
    """

    def __init__(self) -> None:
        self.searched = 0
        self._k = 0
        self._entries = torch.empty(0, 0)
        self._cosine = CentredCosine(*torch.empty(3, 0))
        self._members = torch.empty(0, 0, dtype=torch.long)
        self._dots = torch.empty(0, 0)  # x_i . x_j of each member; -inf: an empty place
        self._limits = torch.empty(0)
        self._nearest = Neighbours(torch.empty(0, 0, dtype=torch.long), torch.empty(0, 0, dtype=torch.float64))

    def update(self, bank: CentredBank, k: int) -> Neighbours:
        """The K nearest neighbours [N, K] of the current entries of a bank.

        Raises:
            ValueError: K is not below N.
        """
        entries, mean, unit = bank
        rows, size = torch.arange(len(entries), device=entries.device), CANDIDATES * k
        cosine = CentredCosine.of(entries, mean)
        if len(entries) <= MIN_SIZE * size or float(cosine.n.min()) < MIN_DISTANCE:
            self.searched, self._k = len(entries), 0
            return search_of_all(lambda own: nearest(unit, own, k), unit)
        changed, mean_moved = self._changed(bank, k)
        previous, self._cosine = self._cosine, cosine
        self._k, self._entries, self.searched = k, entries.clone(), 0
        if changed is None:
            self._allocate(len(entries), size)
            self._store(rows, search_of_all(lambda own: nearest(unit, own, size), unit), unit)
            return self._best(rows, unit)
        if mean_moved:
            self._limits = raised_limits(self._limits, previous, cosine, ~changed)
        updated = self._replace(changed, unit)
        return self._best(rows if mean_moved else updated, unit)

    def _allocate(self, count: int, size: int) -> None:
        """New lists of `size` for `count` entries."""
        device = self._entries.device
        self._members = torch.zeros(count, size, dtype=torch.long, device=device)
        self._dots = torch.zeros(count, size, dtype=torch.float64, device=device)
        self._limits = torch.zeros(count, dtype=torch.float64, device=device)
        self._nearest = Neighbours(self._members[:, : self._k].clone(), self._dots[:, : self._k].clone())

    def _changed(self, bank: CentredBank, k: int) -> tuple[Tensor | None, bool]:
        """Whether each entry was replaced since the last update, [N], and whether the mean has moved.

        None instead of [N]: all lists have to be searched.
        """
        entries, previous = bank.entries, self._entries
        if k != self._k or entries.shape != previous.shape or entries.device != previous.device:
            return None, True
        changed = (entries != previous).any(1)
        # One transfer from a GPU for both numbers.
        replaced, moved = torch.stack((changed.sum(), (bank.mean != self._cosine.mean).sum())).tolist()
        return (changed if replaced <= MAX_CHANGED * len(changed) else None), bool(moved)

    def _search(self, rows: Tensor, unit: Tensor) -> None:
        """Replace the lists of `rows` by their nearest entries."""
        # Not divided: workers on unlike machines may round differently and search other lists.
        self._store(rows, nearest(unit, rows, self._members.shape[1]), unit)

    def _store(self, rows: Tensor, neighbours: Neighbours, unit: Tensor) -> None:
        self.searched += len(rows)
        members, cosine = neighbours
        self._members[rows] = members
        self._dots[rows] = self._products(rows, members)
        self._limits[rows] = cosine[:, -1].double() + _rounding(unit)

    def _products(self, rows: Tensor, members: Tensor) -> Tensor:
        """x_i . x_j in float64 of `rows` [n] and their members [n, W]."""
        return self._pair_products(rows[:, None].expand_as(members).flatten(), members.flatten()).view(members.shape)

    def _pair_products(self, first: Tensor, second: Tensor) -> Tensor:
        pairs = zip(first.split(PAIRS), second.split(PAIRS), strict=True)
        return torch.cat([(self._entries[i].double() * self._entries[j]).sum(1) for i, j in pairs])

    def _replace(self, changed: Tensor, unit: Tensor) -> Tensor:
        """Update the lists after the entries `changed` [N] were replaced; returns the numbers [n] of updated lists."""
        replaced = changed.nonzero().squeeze(1)
        if not len(replaced):
            return replaced
        rows, places = changed[self._members].nonzero(as_tuple=True)
        members = self._members[rows, places]
        self._dots[rows, places] = self._pair_products(rows, members)
        near = unit @ unit[replaced].T > (self._limits - _rounding(unit))[:, None]
        number = torch.zeros(len(changed), dtype=torch.long, device=changed.device)
        number[replaced] = torch.arange(len(replaced), device=changed.device)
        near[rows, number[members]] = False  # already in the list
        near[replaced] = False
        receivers, columns = near.nonzero(as_tuple=True)
        if len(receivers):
            self._insert(receivers, replaced[columns])
        self._search(replaced, unit)
        updated = changed.clone()
        updated[rows] = True
        updated[receivers] = True
        return updated.nonzero().squeeze(1)

    def _insert(self, receivers: Tensor, entries: Tensor) -> None:
        """Add pairs (receiver [n], entry [n]), sorted by receiver, to the lists, instead of the worst members."""
        rows, counts = receivers.unique_consecutive(return_counts=True)
        size, width = self._members.shape[1], int(counts.max())
        row = torch.arange(len(rows), device=rows.device).repeat_interleave(counts)
        place = torch.arange(len(receivers), device=rows.device) - (counts.cumsum(0) - counts)[row]
        members = torch.cat((self._members[rows], rows[:, None].expand(-1, width)), 1)
        dots = torch.cat((self._dots[rows], self._dots.new_full((len(rows), width), -torch.inf)), 1)
        members[row, size + place] = entries
        dots[row, size + place] = self._pair_products(receivers, entries)
        cosine, order = self._cosine(rows, members, dots).topk(size + 1, dim=1)
        self._members[rows] = members.gather(1, order[:, :size])
        self._dots[rows] = dots.gather(1, order[:, :size])
        self._limits[rows] = torch.maximum(self._limits[rows], cosine[:, -1] + ROUNDING)

    def _best(self, rows: Tensor, unit: Tensor) -> Neighbours:
        """The K best members of all lists, of which `rows` [n] are scored; those that may lack one are searched."""
        indices, cosine = self._nearest
        for part in rows.split(ROWS):
            indices[part], cosine[part] = self._ranked(part, self._members[part], self._dots[part])
        doubtful = rows[self._lacks(cosine[rows], rows)]
        if len(doubtful):
            self._search(doubtful, unit)
            ranked = self._ranked(doubtful, self._members[doubtful], self._dots[doubtful])
            indices[doubtful], cosine[doubtful] = ranked
            for part in doubtful[self._lacks(ranked.cosine, doubtful)].split(256):
                indices[part], cosine[part] = self._all_ties(part, unit)
        return Neighbours(indices.clone(), cosine.float())

    def _lacks(self, cosine: Tensor, rows: Tensor) -> Tensor:
        """Whether an entry outside the list of each of `rows` [n] may be nearer than its K best members [n, K]."""
        return cosine[:, -1] <= self._limits[rows] + QUANTUM

    def _ranked(self, rows: Tensor, members: Tensor, dots: Tensor) -> Neighbours:
        """The K members of largest cosine, equal ones by index."""
        cosine = self._cosine(rows, members, dots)
        # A rounded cosine and an index below 2^22 share the 53 bits of a float64.
        keys = (cosine / QUANTUM).round() * QUANTUM - members * 2.0**-52
        order = keys.topk(self._k, dim=1).indices
        return Neighbours(members.gather(1, order), cosine.gather(1, order))

    def _all_ties(self, rows: Tensor, unit: Tensor) -> Neighbours:
        """The K nearest of rows [n] whose list has no place for all entries that tie with the K-th."""
        if not len(rows):
            return Neighbours(rows[:, None], self._limits[:0, None])
        cosine = unit[rows] @ unit.T
        cosine[torch.arange(len(rows), device=rows.device), rows] = -torch.inf
        least = cosine.topk(self._k, dim=1).values[:, -1:] - 2 * _rounding(unit)
        members = cosine.topk(int((cosine >= least).sum(1).max()), dim=1).indices
        return self._ranked(rows, members, self._products(rows, members))


def _rounding(unit: Tensor) -> float:
    """Bound on the rounding of a cosine of float32 unit vectors [N, d]."""
    return PRODUCT_ROUNDING[torch.get_float32_matmul_precision()] + (unit.shape[1] + 16) * PRODUCT_ROUNDING["highest"]
