"""Programs as XLA dumps them, cut down to what is read of them."""

SENT = """\
HloModule jit_run, input_output_alias={ {0}: (0, {}, may-alias) }, num_partitions=16

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add.1 = f32[] add(%a, %b)
}

%layers_condition (p.1: (s32[], bf16[16,512,64])) -> pred[] {
  %p.1 = (s32[], bf16[16,512,64]{2,1,0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%p.1), index=0
  %constant.1 = s32[] constant(8)
  ROOT %lt.1 = pred[] compare(%i.1, %constant.1), direction=LT, metadata={op_name="while/cond/lt"}
}

%layers (p.2: (s32[], bf16[16,512,64])) -> (s32[], bf16[16,512,64]) {
  %p.2 = (s32[], bf16[16,512,64]{2,1,0}) parameter(0)
  %w = bf16[4,64]{1,0} constant(0)
  %all-gather = bf16[64,64]{1,0} all-gather(%w), replica_groups=[1,16]<=[16]
  ROOT %tuple.1 = (s32[], bf16[16,512,64]{2,1,0}) tuple(%i, %x)
}

%pieces_condition (p.3: (s32[], f32[64])) -> pred[] {
  %p.3 = (s32[], f32[64]{0}) parameter(0)
  %i.3 = s32[] get-tuple-element(%p.3), index=0
  %constant.3 = s32[] constant(4)
  ROOT %lt.3 = pred[] compare(%i.3, %constant.3), direction=LT
}

%pieces (p.4: (s32[], f32[64])) -> (s32[], f32[64]) {
  %p.4 = (s32[], f32[64]{0}) parameter(0)
  %while.1 = (s32[], bf16[16,512,64]{2,1,0}) while(%t), condition=%layers_condition, body=%layers
  %all-reduce = f32[64,64]{1,0} all-reduce(%g), replica_groups=mesh['a'=2,'b'=8] {'b'}
  ROOT %tuple.2 = (s32[], f32[64]{0}) tuple(%i, %x)
}

%steps_condition (p.5: (s32[], s32[], f32[64])) -> pred[] {
  %p.5 = (s32[], s32[], f32[64]{0}) parameter(0)
  %i.5 = s32[] get-tuple-element(%p.5), index=0
  %n.5 = s32[] get-tuple-element(%p.5), index=1
  ROOT %lt.5 = pred[] compare(%i.5, %n.5), direction=LT
}

%steps (p.6: (s32[], s32[], f32[64])) -> (s32[], s32[], f32[64]) {
  %p.6 = (s32[], s32[], f32[64]{0}) parameter(0)
  %while.2 = (s32[], f32[64]{0}) while(%t), condition=%pieces_condition, body=%pieces
  %reduce-scatter = f32[4]{0} reduce-scatter(%g), replica_groups={{0,1,2,3}}
  ROOT %tuple.3 = (s32[], s32[], f32[64]{0}) tuple(%i, %n, %x)
}

ENTRY %main (x: f32[64], n: s32[]) -> f32[64] {
  %x = f32[64]{0} parameter(0)
  %while.3 = (s32[], s32[], f32[64]{0}) while(%t), condition=%steps_condition, body=%steps
  %collective-permute = f32[64]{0} collective-permute(%x), source_target_pairs={{0,1},{1,0}}
  ROOT %y = f32[64]{0} get-tuple-element(%while.3), index=2
}
"""
"""Steps whose number is an argument; in each four pieces of eight layers."""

REPORT = """\
Memory Space: default (color=0)
Total bytes: 19877323776 (18.51GiB)
  cumulative_size;       size;       offset; used_by_n_values; shapes_list
  ------------------------------------------------------------
    2.00GiB( 10%);    2.00GiB;            0;               94; bf16[262144,64], f32[126,1,50304]
    3.88GiB( 19%);    1.88GiB;   2147483648;                6; 2×bf16[64,4096,3,8,8]
    3.89GiB( 19%);   12.28MiB;   2147483648;                1; bf16[50304,64]

Memory Space: vmem (color=1)
Total bytes: 117440512 (112.00MiB)
    112.00MiB(100%);  112.00MiB;            0;                1; f32[1]
"""

EXCEEDED = (
    "RESOURCE_EXHAUSTED: E1000: CompileTimeHbmOom: Ran out of memory on HBM, the total memory "
    "required for HLO temporaries (18.51G) exceeds available HBM (15.75G). HLO module: jit_advance."
)

TIMED = """\
HloModule jit_run

%condition (p: (s32[], f32[8])) -> pred[] {
  %p = (s32[], f32[8]{0}) parameter(0)
  %c = s32[] constant(3)
  ROOT %lt = pred[] compare(%i, %c), direction=LT
}

%body (p.1: (s32[], f32[8])) -> (s32[], f32[8]) {
  %p.1 = (s32[], f32[8]{0}) parameter(0)
  %fusion = f32[8]{0} fusion(%x), kind=kLoop, calls=%f, backend_config={"estimated_cycles":"100"}
  ROOT %t = (s32[], f32[8]{0}) tuple(%i, %fusion)
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  %while = (s32[], f32[8]{0}) while(%t), condition=%condition, body=%body
  %splash_mha_dq_no_residuals.1 = (f32[2,4,8]{2,1,0}, bf16[2,3,16,8]{3,2,1,0}) custom-call(%a), \
operand_layout_constraints={s8[1,8,8]{2,1,0}, bf16[2,3,16,8]{3,2,1,0}, s32[8]{0}}, \
frontend_attributes={kernel_metadata={
"xprof_metadata":"{}"
}}, metadata={op_name="jit(run)/splash_mha_dq"}
  %copy = f32[8]{0} copy(%x), backend_config={"estimated_cycles":"7"}
  ROOT %kernel = f32[8]{0} custom-call(%x), custom_call_target="tpu_custom_call"
}
"""
"""Three turns of a loop of 100 cycles, a copy of 7, and two kernels without an estimate.

That of attention has metadata of several lines, one of which looks like the end of its computation.
"""
