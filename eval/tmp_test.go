package eval
import ("testing";"fmt";"encoding/json";"github.com/onnx-zip/onnx-zip/calibrate/ort/orttest")
func TestTmp(t *testing.T){
 e:=orttest.Engine(t)
 for _,p:=range readManifest(t).Pairs {
  a,b:=load(t,p.Name+"_a"),load(t,p.Name+"_b")
  src,labels:=testData(t,a); cal:=openData(t,"fmnist_calib.npz",a)
  ha,_:=Predict(ctx,e,a,[]Task{{Head:"a",Classes:classesA}},src,Options{})
  hb,_:=Predict(ctx,e,b,[]Task{{Head:"b",Classes:classesB}},src,Options{})
  ca,_:=Predict(ctx,e,a,[]Task{{Head:"a",Classes:classesA}},cal,Options{})
  cb,_:=Predict(ctx,e,b,[]Task{{Head:"b",Classes:classesB}},cal,Options{})
  r,err:=Score(append(ha,hb...),labels,Maxima(append(ca,cb...)))
  if err!=nil{t.Fatal(err)}
  d,_:=Compare(r.Joint.Standardised.Predictions,r.Joint.Softmax.Predictions)
  fmt.Println(p.Name,r.Joint.Softmax.Accuracy,p.Ensemble.Value,r.Joint.Standardised.Accuracy,fmt.Sprintf("%+v",d))
  if p.Name=="fmnist_vgg"||p.Name=="fmnist_mlp" {
   both:=sideBySide(a,b)
   dep,err:=Deployments(ctx,e,Deployment{both,both,[]DeployedHead{{"a",[]string{"a_logits"},a},{"b",[]string{"b_logits"},b}}},LatencyOptions{Runs:60})
   if err!=nil{t.Fatal(err)}
   j,_:=json.Marshal(dep); fmt.Println(string(j))
  }
 }
}
